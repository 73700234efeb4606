import TMPackByteIO

/// Reads one RFC 8259 text from front to back and builds nothing: the caller asks for what must come next.
///
/// ```swift
/// var reader = JSONReader(text)
/// try reader.beginObject("the index")
/// while let name = try reader.nextMember() {
///   if name.matches("size") { size = try reader.count("the size") } else { try reader.skipValue() }
/// }
/// try reader.end()
/// ```
///
/// Strict: lone surrogates, invalid UTF-8, trailing bytes and nesting beyond the limit are errors. Whether a name is
/// there twice is for the caller to see (`JSONNames`), who knows how many it has a place for.
///
/// Every error names its byte. Memory is that of the reader itself.
package struct JSONReader {
  package enum Kind { case object, array, string, number, bool, null }

  let text: UnsafeRawBufferPointer
  /// Where `text` begins in its file.
  private let base: UInt64
  private var depthLeft: Int
  /// Whether there was white space between the values that were read.
  private(set) var hasPassedSpace = false
  /// Whether nothing of the innermost container was read yet.
  private var isAtBegin = false
  /// In `text`; where the next value begins, once one was announced.
  package internal(set) var position: Int

  /// - Parameters:
  ///   - text: must outlive the reader and all strings that it gives.
  ///   - base: where `text` begins in its file, for the offsets of errors.
  ///   - position: where in `text` to begin.
  package init(
    _ text: UnsafeRawBufferPointer, at base: UInt64 = 0, maximumDepth: Int = Limits.jsonDepth, from position: Int = 0
  ) {
    self.text = text
    self.base = base
    self.position = position
    depthLeft = maximumDepth
    skipSpace()
  }

  /// The byte of the file that comes next.
  package var offset: UInt64 { base + UInt64(position) }

  func error(
    _ message: String, _ code: StorageError.Code = .malformed, at place: Int? = nil
  ) -> StorageError {
    StorageError(code, "JSON: \(message)", offset: base + UInt64(place ?? position))
  }

  /// The error for a member whose name another has.
  package func duplicate(_ name: JSONString) -> StorageError {
    error("duplicate member \"\(name.excerpt)\"", at: name.start - 1)
  }

  var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
      hasPassedSpace = true
    }
  }

  /// One ASCII character.
  @inline(__always)
  mutating func expect(_ character: Unicode.Scalar) throws(StorageError) {
    guard next == UInt8(ascii: character) else { throw error("expected \(character)") }
    position += 1
  }

  mutating func expectWord(_ literal: StaticString) throws(StorageError) {
    for index in 0..<literal.utf8CodeUnitCount {
      guard next == literal.utf8Start[index] else { throw error("expected \(literal)") }
      position += 1
    }
  }

  /// What the next value is, by its first byte.
  package func kind() throws(StorageError) -> Kind {
    switch next {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return .number
    case nil: throw error("ends too early")
    default: throw error("expected a value")
    }
  }

  // MARK: Containers

  private mutating func begin(_ bracket: Unicode.Scalar) throws(StorageError) {
    guard depthLeft > 0 else { throw error("nested deeper than the limit", .limitExceeded) }
    depthLeft -= 1
    try expect(bracket)
    isAtBegin = true
  }

  package mutating func beginObject() throws(StorageError) { try begin("{") }

  package mutating func beginArray() throws(StorageError) { try begin("[") }

  /// Whether another part of the innermost container follows; if not, the container is left.
  private mutating func advance(to close: UInt8) throws(StorageError) -> Bool {
    skipSpace()
    if next == close {
      position += 1
      depthLeft += 1
      isAtBegin = false
      return false
    }
    if !isAtBegin {
      try expect(",")
      skipSpace()
    }
    isAtBegin = false
    return true
  }

  /// The name of the object's next member, whose value is to be read next; nil when the object has ended.
  package mutating func nextMember() throws(StorageError) -> JSONString? {
    guard try advance(to: UInt8(ascii: "}")) else { return nil }
    guard next == UInt8(ascii: "\"") else { throw error("expected a member name") }
    let name = try string()
    skipSpace()
    try expect(":")
    skipSpace()
    return name
  }

  /// Whether the array has another element, to be read next.
  package mutating func nextElement() throws(StorageError) -> Bool { try advance(to: UInt8(ascii: "]")) }

  /// To be called behind the last value: nothing may follow it.
  package mutating func end() throws(StorageError) {
    skipSpace()
    guard position == text.count else { throw error("unexpected text after the JSON value") }
  }

  // MARK: Values

  package mutating func bool() throws(StorageError) -> Bool {
    let value = next == UInt8(ascii: "t")
    if value { try expectWord("true") } else { try expectWord("false") }
    return value
  }

  package mutating func null() throws(StorageError) { try expectWord("null") }

  /// Passes a value of any kind by. Names that are there twice in it are not found.
  package mutating func skipValue() throws(StorageError) {
    switch try kind() {
    case .object:
      try beginObject()
      while try nextMember() != nil { try skipValue() }
    case .array:
      try beginArray()
      while try nextElement() { try skipValue() }
    case .string: _ = try string()
    case .number: _ = try number()
    case .bool: _ = try bool()
    case .null: try null()
    }
  }
}

// Readers of one kind: each names what it wanted, and where, when the value is of another.
extension JSONReader {
  package mutating func beginObject(_ what: @autoclosure () -> String) throws(StorageError) {
    if try kind() != .object { throw try wrongType(what(), "an object") }
    try beginObject()
  }

  package mutating func beginArray(_ what: @autoclosure () -> String) throws(StorageError) {
    if try kind() != .array { throw try wrongType(what(), "an array") }
    try beginArray()
  }

  package mutating func string(_ what: @autoclosure () -> String) throws(StorageError) -> JSONString {
    if try kind() != .string { throw try wrongType(what(), "a string") }
    return try string()
  }

  /// A whole number that is not negative.
  package mutating func count(_ what: @autoclosure () -> String) throws(StorageError) -> Int {
    if try kind() != .number { throw try wrongType(what(), "a non-negative integer") }
    let place = offset
    guard let integer = try number().integer, integer >= 0 else {
      throw JSONValue.wrongType(what(), "a non-negative integer").at(offset: place)
    }
    return Int(integer)
  }

  /// What is not JSON at all is the graver fault.
  mutating func wrongType(_ what: String, _ expected: String) throws(StorageError) -> StorageError {
    let place = offset
    try skipValue()
    return JSONValue.wrongType(what, expected).at(offset: place)
  }
}
