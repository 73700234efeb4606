#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension JSONValue {
  /// Parses one RFC 8259 text, strictly: duplicate names, lone surrogates, invalid UTF-8, trailing bytes and nesting
  /// beyond `Limits.jsonDepth` are errors. The rules that Foundation's parser leaves open (duplicate names above
  /// all) are the ones that formats with digests and offsets depend on.
  ///
  /// - Parameters:
  ///   - base: where `text` begins in its file, for the offsets of errors.
  ///   - maximumValues: how many values there may be, names of members counted too; more throw `limitExceeded`.
  /// - Complexity: linear; memory is a small multiple of the text.
  public init(
    parsing text: UnsafeRawBufferPointer, at base: UInt64 = 0, maximumDepth: Int = Limits.jsonDepth,
    maximumValues: Int = .max
  ) throws(StorageError) {
    var parser = JSONParser(text: text, base: base, depthLeft: maximumDepth, valuesLeft: maximumValues)
    self = try parser.document()
  }

  public init(parsing text: [UInt8], maximumDepth: Int = Limits.jsonDepth) throws(StorageError) {
    self = try text.withBytes { raw throws(StorageError) in
      try JSONValue(parsing: raw, maximumDepth: maximumDepth)
    }
  }
}

private struct JSONParser {
  let text: UnsafeRawBufferPointer
  let base: UInt64
  var depthLeft: Int
  var valuesLeft: Int
  var position = 0

  mutating func document() throws(StorageError) -> JSONValue {
    skipSpace()
    let value = try value()
    skipSpace()
    guard position == text.count else { throw error("unexpected text after the JSON value") }
    return value
  }

  private func error(_ message: String, at place: Int? = nil) -> StorageError {
    StorageError(.malformed, "JSON: \(message)", offset: base + UInt64(place ?? position))
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func expect(_ literal: StaticString) throws(StorageError) {
    for index in 0..<literal.utf8CodeUnitCount {
      guard next == literal.utf8Start[index] else { throw error("expected \(literal)") }
      position += 1
    }
  }

  private mutating func value() throws(StorageError) -> JSONValue {
    guard valuesLeft > 0 else {
      throw StorageError(.limitExceeded, "JSON: more values than the limit", offset: base + UInt64(position))
    }
    valuesLeft -= 1
    switch next {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try expect("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try expect("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try expect("null")
      return .null
    case .some(UInt8(ascii: "-")), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try number()
    case nil: throw error("ends too early")
    default: throw error("expected a value")
    }
  }

  private mutating func descend() throws(StorageError) {
    guard depthLeft > 0 else {
      throw StorageError(
        .limitExceeded, "JSON: nested deeper than the limit", offset: base + UInt64(position))
    }
    depthLeft -= 1
  }

  private mutating func object() throws(StorageError) -> JSONObject {
    try descend()
    defer { depthLeft += 1 }
    position += 1
    var object = JSONObject()
    skipSpace()
    if next == UInt8(ascii: "}") {
      position += 1
      return object
    }
    while true {
      let start = position
      guard next == UInt8(ascii: "\"") else { throw error("expected a member name") }
      let name = try string()
      valuesLeft -= 1
      skipSpace()
      try expect(":")
      skipSpace()
      guard object.insert(name, try value()) else { throw error("duplicate member \"\(name)\"", at: start) }
      skipSpace()
      if next == UInt8(ascii: "}") {
        position += 1
        return object
      }
      try expect(",")
      skipSpace()
    }
  }

  private mutating func array() throws(StorageError) -> [JSONValue] {
    try descend()
    defer { depthLeft += 1 }
    position += 1
    var array: [JSONValue] = []
    skipSpace()
    if next == UInt8(ascii: "]") {
      position += 1
      return array
    }
    while true {
      array.append(try value())
      skipSpace()
      if next == UInt8(ascii: "]") {
        position += 1
        return array
      }
      try expect(",")
      skipSpace()
    }
  }

  private mutating func string() throws(StorageError) -> String {
    let start = position
    position += 1
    let bodyStart = position
    var unescaped: [UInt8]?
    while true {
      guard let byte = next else { throw error("unterminated string", at: start) }
      switch byte {
      case UInt8(ascii: "\""):
        let slice = UnsafeRawBufferPointer(rebasing: text[bodyStart..<position])
        position += 1
        let decoded =
          unescaped.map { String(validating: $0, as: UTF8.self) } ?? String(validating: slice, as: UTF8.self)
        guard let decoded else { throw error("a string is not valid UTF-8", at: start) }
        return decoded
      case UInt8(ascii: "\\"):
        if unescaped == nil { unescaped = [UInt8](text[bodyStart..<position]) }
        position += 1
        try escape(into: &unescaped!)
      case 0..<0x20: throw error("a control character in a string")
      default:
        unescaped?.append(byte)
        position += 1
      }
    }
  }

  private mutating func escape(into bytes: inout [UInt8]) throws(StorageError) {
    guard let letter = next else { throw error("ends too early") }
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(letter)
    case UInt8(ascii: "b"): bytes.append(0x08)
    case UInt8(ascii: "f"): bytes.append(0x0C)
    case UInt8(ascii: "n"): bytes.append(0x0A)
    case UInt8(ascii: "r"): bytes.append(0x0D)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "u"):
      let place = position
      var code = UInt32(try codeUnit())
      if code & 0xFC00 == 0xD800 {
        guard next == UInt8(ascii: "\\") else { throw error("a lone surrogate", at: place) }
        try expect("\\u")
        let low = UInt32(try codeUnit())
        guard low & 0xFC00 == 0xDC00 else { throw error("a lone surrogate", at: place) }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("a lone surrogate", at: place) }
      bytes.append(contentsOf: UTF8.encode(scalar)!)
    default: throw error("an unknown escape", at: position - 1)
    }
  }

  private mutating func codeUnit() throws(StorageError) -> UInt16 {
    var code: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = hexDigit(byte) else { throw error("expected four hexadecimal digits") }
      code = code << 4 | UInt16(digit)
      position += 1
    }
    return code
  }

  private mutating func number() throws(StorageError) -> JSONValue {
    let start = position
    if next == UInt8(ascii: "-") { position += 1 }
    let integerStart = position
    try digits()
    guard position - integerStart == 1 || text[integerStart] != UInt8(ascii: "0") else {
      throw error("a number with a leading zero", at: start)
    }
    var isInteger = true
    if next == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      isInteger = false
      position += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
      try digits()
    }
    let literal = String(decoding: text[start..<position], as: UTF8.self)
    if isInteger, let integer = Int64(literal), literal != "-0" { return .integer(integer) }
    guard let number = Double(literal), number.isFinite else { throw error("a number out of range", at: start) }
    return .number(number)
  }

  private mutating func digits() throws(StorageError) {
    let start = position
    while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { position += 1 }
    guard position > start else { throw error("expected a digit") }
  }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
  default: nil
  }
}
