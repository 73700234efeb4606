#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A string of a JSON text, which must outlive it: sound, but not decoded until it is asked for.
package struct JSONString {
  /// What is between the quotation marks, with its escapes as they are.
  package let body: UnsafeRawBufferPointer
  let hasEscapes: Bool
  /// Where `body` begins in the text.
  package let start: Int

  package var text: String {
    guard hasEscapes else { return String(decoding: body, as: UTF8.self) }
    return String(unsafeUninitializedCapacity: body.count) { decode(into: UnsafeMutableRawBufferPointer($0)) }
  }

  /// Bytes of its UTF-8.
  package var byteCount: Int { hasEscapes ? decode(into: nil) : body.count }

  /// The text, for messages; of a long one the beginning, with its escapes as they are.
  package var excerpt: String {
    let most = 2048
    guard body.count > most else { return text }
    // Not in the middle of a sequence.
    let end = body[..<most].lastIndex { $0 & 0xC0 != 0x80 } ?? 0
    return String(decoding: body[..<end], as: UTF8.self) + "…"
  }

  package func matches(_ other: String) -> Bool {
    var other = other
    return other.withUTF8 { bytes in withDecodedBytes { $0.hasSameBytes(as: UnsafeRawBufferPointer(bytes)) } }
  }

  func matches(_ other: JSONString) -> Bool {
    withDecodedBytes { bytes in other.withDecodedBytes { bytes.hasSameBytes(as: $0) } }
  }

  /// Whether its bytes come before others, as unsigned numbers.
  package func precedes(_ right: UnsafeRawBufferPointer) -> Bool {
    hasEscapes ? withDecodedBytes { $0.precedes(right) } : body.precedes(right)
  }

  package func precedes(_ other: JSONString) -> Bool {
    other.hasEscapes ? other.withDecodedBytes { precedes($0) } : precedes(other.body)
  }

  func hash(into hasher: inout Hasher) {
    withDecodedBytes { hasher.combine(bytes: $0) }
  }

  /// Calls `use` with the UTF-8, which is copied only if there are escapes.
  func withDecodedBytes<Result>(_ use: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard hasEscapes else { return use(body) }
    return withUnsafeTemporaryAllocation(byteCount: body.count, alignment: 1) { copy in
      use(UnsafeRawBufferPointer(rebasing: copy[..<decode(into: copy)]))
    }
  }

  /// Writes the UTF-8, which is never longer than `body`, and gives its length.
  private func decode(into target: UnsafeMutableRawBufferPointer?) -> Int {
    var position = 0
    var count = 0
    func write(_ byte: UInt8) {
      target?[count] = byte
      count += 1
    }
    while position < body.count {
      let byte = body[position]
      if byte == UInt8(ascii: "\\") {
        // The reader has let no wrong one pass.
        guard let scalar = try? JSONEscape.scalar(in: body, at: &position) else { break }
        for unit in UTF8.encode(scalar)! { write(unit) }
      } else {
        write(byte)
        position += 1
      }
    }
    return count
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func precedes(_ other: UnsafeRawBufferPointer) -> Bool {
    let common = Swift.min(count, other.count)
    let order = common == 0 ? 0 : memcmp(baseAddress!, other.baseAddress!, common)
    return order == 0 ? count < other.count : order < 0
  }

  fileprivate func hasSameBytes(as other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    guard let left = baseAddress, let right = other.baseAddress else { return true }
    return memcmp(left, right, count) == 0
  }
}

/// The escapes of strings.
enum JSONEscape {
  struct Fault: Error {
    let message: String
    let place: Int
  }

  /// Reads the escape whose backslash is at `position`, a pair of surrogates as one, and moves behind it.
  static func scalar(
    in text: UnsafeRawBufferPointer, at position: inout Int
  ) throws(Fault) -> Unicode.Scalar {
    position += 1
    guard position < text.count else { throw Fault(message: "ends too early", place: position) }
    let letter = text[position]
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let loneSurrogate = Fault(message: "a lone surrogate", place: position)
      var code = UInt32(try codeUnit(in: text, at: &position))
      if code & 0xFC00 == 0xD800 {
        guard position + 1 < text.count, text[position] == UInt8(ascii: "\\"), text[position + 1] == UInt8(ascii: "u")
        else { throw loneSurrogate }
        position += 2
        let low = UInt32(try codeUnit(in: text, at: &position))
        guard low & 0xFC00 == 0xDC00 else { throw loneSurrogate }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw loneSurrogate }
      return scalar
    default: throw Fault(message: "an unknown escape", place: position - 1)
    }
  }

  private static func codeUnit(
    in text: UnsafeRawBufferPointer, at position: inout Int
  ) throws(Fault) -> UInt16 {
    var code: UInt16 = 0
    for _ in 0..<4 {
      guard position < text.count, let digit = hexDigit(text[position]) else {
        throw Fault(message: "expected four hexadecimal digits", place: position)
      }
      code = code << 4 | UInt16(digit)
      position += 1
    }
    return code
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
