import TMPackByteIO
import TMPackJSON

/// The plain parser that `JSONReader` is compared with: one byte, one string, one value after the other.
struct ReferenceJSONParser {
  private let text: UnsafeRawBufferPointer
  private var depthLeft = Limits.jsonDepth
  private var position = 0

  init(_ text: UnsafeRawBufferPointer) { self.text = text }

  mutating func document() throws(StorageError) -> JSONValue {
    skipSpace()
    let value = try value()
    skipSpace()
    guard position == text.count else { throw error("unexpected text after the JSON value") }
    return value
  }

  private func error(_ message: String, at place: Int? = nil) -> StorageError {
    StorageError(.malformed, "JSON: \(message)", offset: UInt64(place ?? position))
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
        .limitExceeded, "JSON: nested deeper than the limit", offset: UInt64(position))
    }
    depthLeft -= 1
  }

  private mutating func object() throws(StorageError) -> JSONObject {
    try descend()
    defer { depthLeft += 1 }
    position += 1
    var members: [(String, JSONValue)] = []
    var names: Set<[UInt8]> = []
    skipSpace()
    if next == UInt8(ascii: "}") {
      position += 1
      return JSONObject(members)
    }
    while true {
      let start = position
      guard next == UInt8(ascii: "\"") else { throw error("expected a member name") }
      let name = try string()
      skipSpace()
      try expect(":")
      skipSpace()
      members.append((name, try value()))
      guard names.insert(Array(name.utf8)).inserted else { throw error("duplicate member \"\(name)\"", at: start) }
      skipSpace()
      if next == UInt8(ascii: "}") {
        position += 1
        return JSONObject(members)
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
        guard text[position...].starts(with: Array("\\u".utf8)) else { throw error("a lone surrogate", at: place) }
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
