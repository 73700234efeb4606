import TMPackByteIO

/// The canonical form of RFC 8785, checked in the text: nothing is built, and nothing written to compare it with.
extension JSONReader {
  /// Reads a text to its end and throws unless it is canonical, with integers from 0 to 2⁵³ − 1 and no other numbers.
  ///
  /// Memory: that of the reader, whatever the text.
  package mutating func checkCanonical() throws(StorageError) {
    try skipCanonicalValue()
    try end()
    guard !hasPassedSpace else { throw notCanonical("white space") }
  }

  private func notCanonical(_ what: String, at place: Int? = nil) -> StorageError {
    error("not in canonical form: \(what)", at: place)
  }

  private mutating func skipCanonicalValue() throws(StorageError) {
    switch try kind() {
    case .object:
      try beginObject()
      var last: JSONString?
      while let name = try nextMember() {
        try checkCanonical(name)
        if let last {
          guard !last.matches(name) else { throw duplicate(name) }
          guard last.precedesInUTF16(name) else { throw notCanonical("members out of order", at: name.start - 1) }
        }
        last = name
        try skipCanonicalValue()
      }
    case .array:
      try beginArray()
      while try nextElement() { try skipCanonicalValue() }
    case .string: try checkCanonical(try string())
    case .number:
      let start = position
      guard let integer = try number().integer else {
        throw error("a number that is not a canonical integer", at: start)
      }
      guard (0..<1 << 53).contains(integer) else {
        throw error("an integer beyond 2⁵³ − 1, or negative", at: start)
      }
    case .bool: _ = try bool()
    case .null: try null()
    }
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
        guard let place = zip(left, right).enumerated().first(where: { $1.0 != $1.1 })?.offset else {
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
