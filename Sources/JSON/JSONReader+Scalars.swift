import TMPackByteIO

/// Strings and numbers, checked in the text and not copied out of it.
extension JSONReader {
  package mutating func string() throws(StorageError) -> JSONString {
    let start = position
    try expect("\"")
    var hasEscapes = false
    while true {
      skipPlainText()
      switch next {
      case nil: throw error("unterminated string", at: start)
      case UInt8(ascii: "\""):
        let body = UnsafeRawBufferPointer(rebasing: text[start + 1..<position])
        position += 1
        return JSONString(body: body, hasEscapes: hasEscapes, start: start + 1)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        do throws(JSONEscape.Fault) { _ = try JSONEscape.scalar(in: text, at: &position) } catch {
          throw self.error(error.message, at: error.place)
        }
      case .some(0..<0x20): throw error("a control character in a string")
      default:
        guard let length = sequenceLength() else { throw error("a string is not valid UTF-8", at: start) }
        position += length
      }
    }
  }

  /// Moves to the next byte that is not printable ASCII, or a quotation mark, or a backslash; eight at a time.
  private mutating func skipPlainText() {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let highs: UInt64 = 0x8080_8080_8080_8080
    while position + 8 <= text.count {
      let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      let quotes = word ^ ones &* 0x22
      let backslashes = word ^ ones &* 0x5C
      // The lowest high bit that is set is that of the first byte below 0x20, of 0x22 or 0x5C, or above 0x7F.
      let below = (word &- ones &* 0x20) & ~word
      let found = (below | ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes) | word) & highs
      if found != 0 {
        position += found.trailingZeroBitCount / 8
        return
      }
      position += 8
    }
    while let byte = next, (0x20..<0x80).contains(byte), byte != 0x22, byte != 0x5C { position += 1 }
  }

  /// Bytes of the UTF-8 sequence that comes next, two to four; nil when it is ill-formed (Unicode, table 3-7).
  private func sequenceLength() -> Int? {
    let (length, second): (Int, ClosedRange<UInt8>)
    switch text[position] {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xE1...0xEC, 0xEE...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return nil
    }
    guard text.count - position >= length, second ~= text[position + 1] else { return nil }
    for place in position + 2..<position + length where !(0x80...0xBF ~= text[place]) { return nil }
    return length
  }

  package mutating func number() throws(StorageError) -> JSONNumber {
    let start = position
    let isNegative = next == UInt8(ascii: "-")
    if isNegative { position += 1 }
    let integerStart = position
    var integer = try digits(isNegative: isNegative)
    guard position - integerStart == 1 || text[integerStart] != UInt8(ascii: "0") else {
      throw error("a number with a leading zero", at: start)
    }
    if isNegative, integer == 0 { integer = nil }
    if next == UInt8(ascii: ".") {
      integer = nil
      position += 1
      _ = try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      integer = nil
      position += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
      _ = try digits()
    }
    return JSONNumber(integer: integer, literal: UnsafeRawBufferPointer(rebasing: text[start..<position]))
  }

  /// One digit or more; their value, nil when it does not fit.
  private mutating func digits(isNegative: Bool = false) throws(StorageError) -> Int64? {
    let start = position
    var value: Int64 = 0
    var overflows = false
    while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
      let digit = Int64(byte - UInt8(ascii: "0"))
      let (tens, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, tooLargeSum) = tens.addingReportingOverflow(isNegative ? -digit : digit)
      value = sum
      overflows = overflows || tooLarge || tooLargeSum
      position += 1
    }
    guard position > start else { throw error("expected a digit") }
    return overflows ? nil : value
  }
}

/// A number of a JSON text, which must outlive it.
package struct JSONNumber {
  /// nil when it is written with a fraction or an exponent, or does not fit 64 bits; for −0 too, which no integer is.
  package let integer: Int64?
  let literal: UnsafeRawBufferPointer

  /// nil when it is beyond the range.
  var double: Double? {
    guard let value = Double(String(decoding: literal, as: UTF8.self)), value.isFinite else { return nil }
    return value
  }
}
