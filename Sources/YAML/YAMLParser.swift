import TMPackByteIO

/// Goes through a text once, from the outside in. Columns say what belongs to what.
struct YAMLParser {
  private let text: [UInt8]
  private var position = 0
  private var line = 1
  private var lineBegin = 0
  private var depth = 0

  init(_ text: [UInt8]) {
    // A byte order mark is no part of the text.
    self.text = text.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(text.dropFirst(3)) : text
  }

  mutating func document() throws(StorageError) -> YAMLNode {
    try skipToToken()
    if isMarker("---") {
      position += 3
      try skipToToken()
    } else if next == UInt8(ascii: "%") {
      throw unsupported("directives")
    }
    let root = atEnd ? YAMLNode(.null, line: line) : try node(outside: -1, maySpanColumns: true)
    try skipToToken()
    if isMarker("...") {
      position += 3
      try skipToToken()
    }
    if isMarker("---") { throw unsupported("several documents") }
    guard atEnd else { throw fault("is indented less than what it follows, or is no part of it") }
    return root
  }

  // MARK: Block collections

  /// The value that begins here, further to the right than column `outside`.
  ///
  /// - Parameter maySpanColumns: whether a block collection may begin here; not after a key on its line.
  private mutating func node(outside: Int, maySpanColumns: Bool) throws(StorageError) -> YAMLNode {
    depth += 1
    defer { depth -= 1 }
    try Limits.check(depth, atMost: Limits.yamlDepth, "the depth of the value on line \(line)")
    let (begin, column) = (line, self.column)
    if isDash {
      guard maySpanColumns else { throw fault("a list cannot begin on the line of its key") }
      return try sequence(at: column)
    }
    if next == UInt8(ascii: "[") || next == UInt8(ascii: "{") {
      let value = try flowNode()
      try endLine()
      return value
    }
    let isQuoted = next == UInt8(ascii: "\"") || next == UInt8(ascii: "'")
    let scalar = try isQuoted ? quoted() : plain(endingAt: [])
    skipSpaces()
    if isColon {
      guard maySpanColumns else { throw fault("a mapping cannot begin on the line of its key") }
      return try mapping(at: column, firstKey: scalar, on: begin)
    }
    try endLine()
    if !isQuoted, maySpanColumns || outside >= 0 {
      // A plain scalar goes on where the next line is indented further than what holds it.
      var ahead = self
      try ahead.skipToToken()
      if !ahead.atEnd, ahead.column > outside, !ahead.isMarker("---"), !ahead.isMarker("...") {
        throw ahead.unsupported("a scalar of several lines, or a line that is indented further than its place")
      }
    }
    return YAMLNode(Self.content(scalar, isQuoted: isQuoted), line: begin)
  }

  private mutating func sequence(at column: Int) throws(StorageError) -> YAMLNode {
    let begin = line
    var elements: [YAMLNode] = []
    while !atEnd, self.column == column, isDash {
      let dash = line
      position += 1
      try skipToToken()
      if atEnd || (line > dash && self.column <= column) {
        elements.append(YAMLNode(.null, line: dash))
      } else {
        elements.append(try node(outside: column, maySpanColumns: true))
        try skipToToken()
      }
    }
    return YAMLNode(.sequence(elements), line: begin)
  }

  /// - Parameter firstKey: has been read; its colon is next.
  private mutating func mapping(
    at column: Int, firstKey: String, on firstLine: Int
  ) throws(StorageError) -> YAMLNode {
    var members: [YAMLMember] = []
    var (key, keyLine) = (firstKey, firstLine)
    while true {
      guard !members.contains(where: { $0.key == key }) else {
        throw StorageError(.malformed, "line \(keyLine): the key '\(key)' is there twice")
      }
      position += 1  // the colon
      members.append(YAMLMember(key: key, line: keyLine, value: try memberValue(of: column, on: keyLine)))
      try skipToToken()
      if atEnd || self.column < column || isMarker("...") || isMarker("---") { break }
      guard self.column == column, !isDash else { throw fault("is indented unlike the keys before it") }
      keyLine = line
      key = try next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") ? quoted() : plain(endingAt: [])
      skipSpaces()
      guard isColon else { throw fault("a key lacks its colon") }
    }
    return YAMLNode(.mapping(members), line: firstLine)
  }

  /// What follows a key's colon, on its line or below.
  private mutating func memberValue(of column: Int, on keyLine: Int) throws(StorageError) -> YAMLNode {
    try skipToToken()
    if atEnd { return YAMLNode(.null, line: keyLine) }
    if line == keyLine { return try node(outside: column, maySpanColumns: false) }
    if self.column > column { return try node(outside: column, maySpanColumns: true) }
    // A list may stand as far to the left as its key.
    if self.column == column, isDash { return try sequence(at: column) }
    return YAMLNode(.null, line: keyLine)
  }

  // MARK: Flow collections

  private mutating func flowNode() throws(StorageError) -> YAMLNode {
    depth += 1
    defer { depth -= 1 }
    try Limits.check(depth, atMost: Limits.yamlDepth, "the depth of the value on line \(line)")
    let begin = line
    switch next {
    case UInt8(ascii: "["):
      var elements: [YAMLNode] = []
      try flowItems(closedBy: UInt8(ascii: "]")) { parser throws(StorageError) in
        elements.append(try parser.flowNode())
      }
      return YAMLNode(.sequence(elements), line: begin)
    case UInt8(ascii: "{"):
      var members: [YAMLMember] = []
      try flowItems(closedBy: UInt8(ascii: "}")) { parser throws(StorageError) in
        let keyLine = parser.line
        let key = try parser.flowScalar().text
        try parser.skipToToken()
        guard parser.next == UInt8(ascii: ":") else { throw parser.fault("a key lacks its colon") }
        parser.position += 1
        try parser.skipToToken()
        guard !members.contains(where: { $0.key == key }) else {
          throw StorageError(.malformed, "line \(keyLine): the key '\(key)' is there twice")
        }
        let isLast = parser.next == UInt8(ascii: ",") || parser.next == UInt8(ascii: "}")
        members.append(
          YAMLMember(
            key: key, line: keyLine,
            value: isLast ? YAMLNode(.null, line: keyLine) : try parser.flowNode()))
      }
      return YAMLNode(.mapping(members), line: begin)
    default:
      let scalar = try flowScalar()
      return YAMLNode(Self.content(scalar.text, isQuoted: scalar.isQuoted), line: begin)
    }
  }

  /// The items between brackets; a comma may follow the last.
  private mutating func flowItems(
    closedBy end: UInt8, _ item: (inout YAMLParser) throws(StorageError) -> Void
  ) throws(StorageError) {
    let begin = line
    position += 1
    while true {
      try skipToToken()
      if next == end { break }
      guard !atEnd else { throw StorageError(.malformed, "line \(begin): a bracket is not closed") }
      try item(&self)
      try skipToToken()
      if next == UInt8(ascii: ",") {
        position += 1
      } else if atEnd {
        throw StorageError(.malformed, "line \(begin): a bracket is not closed")
      } else if next != end {
        throw fault("a comma or a closing bracket is missing")
      }
    }
    position += 1
  }

  private mutating func flowScalar() throws(StorageError) -> (text: String, isQuoted: Bool) {
    if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") { return (try quoted(), true) }
    return (try plain(endingAt: Array(",[]{}".utf8)), false)
  }

  // MARK: Scalars

  /// Null is written as nothing, `~` or `null`, unquoted.
  private static func content(_ text: String, isQuoted: Bool) -> YAMLNode.Content {
    !isQuoted && (text.isEmpty || text == "~" || text == "null") ? .null : .scalar(text)
  }

  /// Up to a colon that ends a key, a comment, one of `ends`, or the end of the line.
  private mutating func plain(endingAt ends: [UInt8]) throws(StorageError) -> String {
    switch next {
    case UInt8(ascii: "&"), UInt8(ascii: "*"): throw unsupported("anchors")
    case UInt8(ascii: "!"): throw unsupported("tags")
    case UInt8(ascii: "|"), UInt8(ascii: ">"): throw unsupported("block scalars")
    case UInt8(ascii: "?") where isBlank(position + 1): throw unsupported("keys that are no scalars")
    case UInt8(ascii: "%"), UInt8(ascii: "@"), UInt8(ascii: "`"), UInt8(ascii: ","), UInt8(ascii: "]"),
      UInt8(ascii: "}"):
      throw fault("a scalar begins with a character that must be quoted")
    default: break
    }
    let begin = position
    while position < text.count, text[position] != 10, text[position] != 13 {
      let byte = text[position]
      if byte == UInt8(ascii: ":"), isBlank(position + 1) || ends.contains(byteAt(position + 1)) { break }
      if byte == UInt8(ascii: "#"), position > begin, isBlank(position - 1) { break }
      if ends.contains(byte) { break }
      position += 1
    }
    var end = position
    while end > begin, isBlank(end - 1) { end -= 1 }
    guard end > begin || isColon else { throw fault("a value is missing") }
    return String(decoding: text[begin..<end], as: UTF8.self)
  }

  private mutating func quoted() throws(StorageError) -> String {
    let quote = text[position]
    let begin = line
    position += 1
    var bytes: [UInt8] = []
    while position < text.count, text[position] != 10 {
      let byte = text[position]
      position += 1
      if byte == quote {
        guard quote == UInt8(ascii: "'"), next == quote else { return String(decoding: bytes, as: UTF8.self) }
        position += 1  // Doubled: one of the text.
        bytes.append(quote)
      } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
        bytes += try escape()
      } else {
        bytes.append(byte)
      }
    }
    throw StorageError(.malformed, "line \(begin): a quotation mark is not closed on its line")
  }

  /// What follows a backslash.
  private mutating func escape() throws(StorageError) -> [UInt8] {
    guard let letter = next else { throw fault("a quotation mark is not closed on its line") }
    position += 1
    let plain: [UInt8: UInt8] = [
      UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "0"): 0,
      UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "\\"),
      UInt8(ascii: "/"): UInt8(ascii: "/"),
    ]
    if let byte = plain[letter] { return [byte] }
    let lengths: [UInt8: Int] = [UInt8(ascii: "x"): 2, UInt8(ascii: "u"): 4, UInt8(ascii: "U"): 8]
    guard let length = lengths[letter], position + length <= text.count,
      let number = UInt32(String(decoding: text[position..<position + length], as: UTF8.self), radix: 16),
      let scalar = Unicode.Scalar(number)
    else { throw fault("there is no such escape") }
    position += length
    return Array(String(Character(scalar)).utf8)
  }

  // MARK: Places

  private var atEnd: Bool { position >= text.count }
  private var next: UInt8? { position < text.count ? text[position] : nil }
  private func byteAt(_ index: Int) -> UInt8 { index < text.count ? text[index] : 10 }
  private func isBlank(_ index: Int) -> Bool { [9, 10, 13, 32].contains(byteAt(index)) }
  private var column: Int { position - lineBegin }
  private var isColon: Bool { next == UInt8(ascii: ":") && isBlank(position + 1) }
  private var isDash: Bool { next == UInt8(ascii: "-") && isBlank(position + 1) }

  /// Whether the line is this marker of a document.
  private func isMarker(_ marker: String) -> Bool {
    column == 0 && text[position...].starts(with: marker.utf8) && isBlank(position + 3)
  }

  private mutating func skipSpaces() {
    while next == 32 || next == 9 { position += 1 }
  }

  /// To the next character that is neither blank nor in a comment.
  private mutating func skipToToken() throws(StorageError) {
    while let byte = next {
      switch byte {
      case 32, 13: position += 1
      case 9:
        guard text[lineBegin..<position].contains(where: { $0 != 32 && $0 != 9 }) else {
          throw fault("is indented by a tab; YAML wants spaces")
        }
        position += 1
      case 10:
        position += 1
        line += 1
        lineBegin = position
      case UInt8(ascii: "#") where position == lineBegin || isBlank(position - 1):
        while let other = next, other != 10 { _ = (other, position += 1) }
      default: return
      }
    }
  }

  /// Nothing but a comment may follow on this line.
  private mutating func endLine() throws(StorageError) {
    let own = line
    let begin = position
    try skipToToken()
    guard atEnd || line > own else {
      position = max(begin, position)
      throw fault("something follows a value that has ended")
    }
  }

  private func fault(_ what: String) -> StorageError { StorageError(.malformed, "line \(line): \(what)") }

  private func unsupported(_ what: String) -> StorageError {
    StorageError(.malformed, "line \(line): has what recipes may not have: \(what)")
  }
}
