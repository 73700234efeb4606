import TMPackByteIO

/// The canonical form of RFC 8785, checked in the text: nothing is built, and nothing written to compare it with.
extension JSONReader {
  /// Reads a text to its end and throws unless it is canonical, with integers from 0 to 2⁵³ − 1 and no other numbers.
  ///
  /// Memory: that of the reader, whatever the text.
  package mutating func checkCanonical() throws(StorageError) {
    try skipCanonicalValue()
    try endCanonical()
  }

  /// To be called behind the last value, where all values were read by the functions of this extension.
  package mutating func endCanonical() throws(StorageError) {
    try end()
    guard !hasPassedSpace else { throw notCanonical("white space") }
  }

  private func notCanonical(_ what: String, at place: Int? = nil) -> StorageError {
    error("not in canonical form: \(what)", at: place)
  }

  package mutating func skipCanonicalValue() throws(StorageError) {
    switch try kind() {
    case .object:
      try beginObject()
      var last: JSONString?
      while try nextCanonicalMember(after: &last) != nil { try skipCanonicalValue() }
    case .array:
      try beginArray()
      while try nextElement() { try skipCanonicalValue() }
    case .string: _ = try canonicalString()
    case .number: _ = try canonicalInteger()
    case .bool: _ = try bool()
    case .null: try null()
    }
  }

  /// The name of the object's next member; nil when the object has ended.
  ///
  /// - Parameter last: that of the member before, which this one replaces; nil at first.
  package mutating func nextCanonicalMember(after last: inout JSONString?) throws(StorageError) -> JSONString? {
    guard let name = try nextMember() else { return nil }
    try checkCanonical(name)
    if let last { try checkOrder(of: name, after: last) }
    last = name
    return name
  }

  private func checkOrder(of name: JSONString, after last: JSONString) throws(StorageError) {
    guard !last.matches(name) else { throw duplicate(name) }
    guard last.precedesInUTF16(name) else { throw notCanonical("members out of order", at: name.start - 1) }
  }

  /// The place, in a list of names, of that of the object's next member; nil when the object has ended. There may be no others.
  ///
  /// - Parameter last: the place of the member before, which this one replaces; nil at first.
  package mutating func nextCanonicalMember(
    of names: JSONNameList, after last: inout Int?, in what: @autoclosure () -> String
  ) throws(StorageError) -> Int? {
    guard let name = try nextMember() else { return nil }
    guard let place = names.place(of: name, from: last.map { $0 + 1 } ?? 0) else {
      try checkCanonical(name)
      if let place = names.place(of: name, from: 0) {
        throw place == last ? duplicate(name) : notCanonical("members out of order", at: name.start - 1)
      }
      throw JSONObject.unknownMember(name.excerpt, of: what())
    }
    last = place
    return place
  }

  private mutating func canonicalString() throws(StorageError) -> JSONString {
    let string = try string()
    try checkCanonical(string)
    return string
  }

  private mutating func canonicalInteger() throws(StorageError) -> Int {
    let start = position
    guard let integer = try number().integer else {
      throw error("a number that is not a canonical integer", at: start)
    }
    guard (0..<1 << 53).contains(integer) else {
      throw error("an integer beyond 2⁵³ − 1, or negative", at: start)
    }
    return Int(integer)
  }

  package mutating func canonicalString(_ what: @autoclosure () -> String) throws(StorageError) -> JSONString {
    if try kind() != .string { throw try wrongType(what(), "a string") }
    return try canonicalString()
  }

  /// A whole number.
  package mutating func canonicalCount(_ what: @autoclosure () -> String) throws(StorageError) -> Int {
    if try kind() != .number { throw try wrongType(what(), "a non-negative integer") }
    return try canonicalInteger()
  }

  /// An array of whole numbers.
  package mutating func canonicalCounts(
    _ what: @autoclosure () -> String, atMost limit: Int
  ) throws(StorageError) -> [Int] {
    try beginArray(what())
    var counts: [Int] = []
    counts.reserveCapacity(min(4, limit))
    while try nextElement() {
      try Limits.check(counts.count + 1, atMost: limit, "\(what()): their number")
      counts.append(try canonicalCount(what()))
    }
    return counts
  }

  /// Throws unless everything that is escaped must be, in the shortest way.
  private func checkCanonical(_ string: JSONString) throws(StorageError) {
    guard string.hasEscapes else { return }
    var rest = string.body[...]
    while let backslash = rest.firstIndex(of: UInt8(ascii: "\\")) {
      rest = rest[(backslash + 1)...]
      let escape = rest.prefix(5)
      let isShort = "\"\\bfnrt".utf8.contains(escape.first!)
      // Of the control characters those without a short escape.
      let code = escape.dropFirst(3)
      let isLong =
        escape.starts(with: "u00".utf8) && "01".utf8.contains(code.first!)
        && "0123456789abcdef".utf8.contains(code.last!)
        && !["08", "09", "0a", "0c", "0d"].contains { code.elementsEqual($0.utf8) }
      guard isShort || isLong else { throw notCanonical("an escape", at: string.start + backslash) }
      rest = rest.dropFirst(isShort ? 1 : 5)
    }
  }
}

extension JSONString {
  /// Whether it comes first in the order of UTF-16 units, which is that of RFC 8785.
  fileprivate func precedesInUTF16(_ other: JSONString) -> Bool {
    withDecodedBytes { left in
      other.withDecodedBytes { right in
        guard let place = (0..<min(left.count, right.count)).first(where: { left[$0] != right[$0] }) else {
          return left.count < right.count
        }
        let (a, b) = (left[place], right[place])
        // Sequences of four bytes are surrogates in UTF-16, which come before the last that have three.
        let (isPairA, isPairB) = (a >= 0xF0, b >= 0xF0)
        if isPairA != isPairB, min(a, b) >= 0xEE { return isPairA }
        return a < b
      }
    }
  }
}
