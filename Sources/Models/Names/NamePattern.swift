/// A piece of a tensor's name, as the table of names has it (`Spec/names.md`): text, `#` for a number, `*` for any run, and
/// conditions on what stands before or behind. It is searched for in a name; the first place counts.
package struct NamePattern: Sendable {
  private enum Piece: Sendable {
    case text([UInt8])
    case number
    case any
    case notBefore([[UInt8]])
    case notAfter([[UInt8]])
  }

  package struct Match: Sendable {
    let range: Range<Int>
    /// Of the numbers and of the runs, in order.
    let numbers: [Range<Int>]
    let runs: [Range<Int>]
  }

  private let isAnchored: Bool
  private let pieces: [Piece]
  /// A pattern that ends in a letter or digit ends a word.
  private let endsWord: Bool
  /// Parts of the name without which it does not fit.
  private let needed: [UInt8]
  let length: Int

  package init(_ text: Substring) {
    var rest = Array(text.utf8)[...]
    length = rest.count
    isAnchored = rest.first == UInt8(ascii: "^")
    if isAnchored { rest.removeFirst() }
    var pieces: [Piece] = []
    var plain: [UInt8] = []
    func flush() {
      if !plain.isEmpty { pieces.append(.text(plain)) }
      plain = []
    }
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "#"):
        flush()
        pieces.append(.number)
      case UInt8(ascii: "*"):
        flush()
        pieces.append(.any)
      case UInt8(ascii: "{"):
        flush()
        let isAhead = rest.popFirst() == UInt8(ascii: "!")
        let inner = rest.prefix { $0 != UInt8(ascii: "}") }
        rest = rest.dropFirst(inner.count + 1)
        let texts = inner.split(separator: UInt8(ascii: "|")).map(Array.init)
        pieces.append(isAhead ? .notBefore(texts) : .notAfter(texts))
      default: plain.append(byte)
      }
    }
    flush()
    self.pieces = pieces
    if case .text(let last)? = pieces.last, let byte = last.last {
      endsWord = byte.isWord && byte != UInt8(ascii: "_")
    } else {
      endsWord = false
    }
    needed = pieces.compactMap { if case .text(let text) = $0 { text } else { nil } }.max { $0.count < $1.count } ?? []
  }

  package func firstMatch(in name: [UInt8]) -> Match? {
    guard needed.isEmpty || name.firstIndex(ofRun: needed) != nil else { return nil }
    for start in 0...(isAnchored ? 0 : name.count) {
      var numbers: [Range<Int>] = []
      var runs: [Range<Int>] = []
      if let end = match(0, at: start, name, &numbers, &runs) {
        return Match(range: start..<end, numbers: numbers, runs: runs)
      }
    }
    return nil
  }

  /// Where the pieces from `index` on end; greedy, with a step back where the rest does not fit.
  private func match(
    _ index: Int, at place: Int, _ name: [UInt8], _ numbers: inout [Range<Int>], _ runs: inout [Range<Int>]
  ) -> Int? {
    guard index < pieces.count else {
      return endsWord && place < name.count && name[place].isWord ? nil : place
    }
    switch pieces[index] {
    case .text(let text):
      guard name.has(text, at: place) else { return nil }
      return match(index + 1, at: place + text.count, name, &numbers, &runs)
    case .notBefore(let texts):
      if texts.contains(where: { name.has($0, at: place) }) { return nil }
      return match(index + 1, at: place, name, &numbers, &runs)
    case .notAfter(let texts):
      if texts.contains(where: { place >= $0.count && name.has($0, at: place - $0.count) }) { return nil }
      return match(index + 1, at: place, name, &numbers, &runs)
    case .number:
      var end = place
      while end < name.count, name[end].isDigit { end += 1 }
      guard end > place else { return nil }
      numbers.append(place..<end)
      if let found = match(index + 1, at: end, name, &numbers, &runs) { return found }
      numbers.removeLast()
      return nil
    case .any:
      for end in stride(from: name.count, to: place, by: -1) {
        runs.append(place..<end)
        if let found = match(index + 1, at: end, name, &numbers, &runs) { return found }
        runs.removeLast()
      }
      return nil
    }
  }
}

/// What stands in a pattern's place: text, with `#` and `*` for what the pattern's took.
package struct NameReplacement: Sendable {
  private let text: [UInt8]

  package init(_ text: Substring) { self.text = Array(text.utf8) }

  /// Whether the text that would stand in the match's place stands around it.
  func isAround(_ match: NamePattern.Match, in name: [UInt8]) -> Bool {
    let matched = name[match.range]
    let full = replace(match, in: name)
    let replacement = full[match.range.lowerBound..<full.count - (name.count - match.range.upperBound)]
    guard !matched.isEmpty, replacement.count > matched.count else { return false }
    return (0...replacement.count - matched.count).contains { offset in
      let start = match.range.lowerBound - offset
      return start >= 0 && start + replacement.count <= name.count
        && replacement[(replacement.startIndex + offset)...].starts(with: matched)
        && name[start...].starts(with: replacement)
    }
  }

  package func replace(_ match: NamePattern.Match, in name: [UInt8]) -> [UInt8] {
    var result = Array(name[..<match.range.lowerBound])
    var (numbers, runs) = (match.numbers[...], match.runs[...])
    for byte in text {
      switch byte {
      case UInt8(ascii: "#"): result += name[numbers.popFirst() ?? 0..<0]
      case UInt8(ascii: "*"): result += name[runs.popFirst() ?? 0..<0]
      default: result.append(byte)
      }
    }
    return result + name[match.range.upperBound...]
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { (0x30...0x39).contains(self) }

  /// As `\w` of ASCII.
  fileprivate var isWord: Bool {
    isDigit || (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) || self == UInt8(ascii: "_")
  }
}

extension [UInt8] {
  fileprivate func has(_ text: [UInt8], at place: Int) -> Bool {
    guard place + text.count <= count else { return false }
    for i in 0..<text.count where self[place + i] != text[i] { return false }
    return true
  }

  fileprivate func firstIndex(ofRun text: [UInt8]) -> Int? {
    guard count >= text.count else { return nil }
    return (0...(count - text.count)).first { has(text, at: $0) }
  }
}
