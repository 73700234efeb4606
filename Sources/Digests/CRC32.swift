import TMPackCKernels

/// The checksum of tensors of detached models (TMP-6-24) and of ZIP entries (ISO 3309: polynomial 0xEDB88320, reflected).
package struct CRC32: Sendable, Hashable {
  /// How it is computed; both give the same.
  package enum Method: CaseIterable {
    /// With tables, sixteen bytes a step: on any processor, about 3 GB/s.
    case tables
    /// With the processor's own instructions: several times as fast, and only for whole runs of bytes.
    case instructions

    package static let available: [Method] = tmpack_crc32_is_available() ? allCases : [.tables]
    package static let best: Method = available.last!
  }

  package private(set) var value: UInt32 = 0

  package init() {}

  package init(_ value: UInt32) { self.value = value }

  /// Parses 8 lowercase hexadecimal digits; nil for anything else.
  package init?(hexadecimal text: String) {
    guard let value = UInt32(text, radix: 16) else { return nil }
    self.init(value)
    guard hexadecimal == text else { return nil }
  }

  package var hexadecimal: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.utf8.count) + digits
  }

  package static func of(_ bytes: UnsafeRawBufferPointer) -> CRC32 {
    var checksum = CRC32()
    checksum.update(bytes)
    return checksum
  }

  /// - Complexity: O(n).
  package mutating func update(_ bytes: UnsafeRawBufferPointer, by method: Method = .best) {
    var state = ~value
    var rest = bytes
    // What `tmpack_crc32` asks for.
    if method == .instructions, bytes.count >= 64 {
      let whole = bytes.count - bytes.count % 16
      state = tmpack_crc32(state, bytes.baseAddress, whole)
      rest = UnsafeRawBufferPointer(rebasing: bytes[whole...])
    }
    value = ~Self.update(state, rest)
  }

  // MARK: Joining

  /// The checksum of these bytes and of `count` more, whose own checksum is `next`.
  ///
  /// These are followed by 8·`count` bits: their remainder is multiplied by x to that power (zlib's `crc32_combine`).
  /// - Complexity: O(log count).
  package func followed(by next: CRC32, count: Int) -> CRC32 {
    var power: UInt32 = 1 << 31  // x⁰: the highest bit is the lowest power.
    var square: UInt32 = 1 << 23  // x⁸
    var rest = count
    while rest > 0 {
      if rest & 1 == 1 { power = Self.product(power, square) }
      square = Self.product(square, square)
      rest >>= 1
    }
    return CRC32(Self.product(power, value) ^ next.value)
  }

  /// Modulo the polynomial.
  private static func product(_ left: UInt32, _ right: UInt32) -> UInt32 {
    var sum: UInt32 = 0
    var shifted = right
    for bit in stride(from: 31, through: 0, by: -1) {
      if left >> UInt32(bit) & 1 == 1 { sum ^= shifted }
      shifted = shifted & 1 == 1 ? shifted >> 1 ^ polynomial : shifted >> 1
    }
    return sum
  }

  // MARK: Tables

  private static let polynomial: UInt32 = 0xEDB8_8320

  /// `tables[k * 256 + b]`: the effect of byte b that is followed by k zeros.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 16 * 256)
    for byte in 0..<256 {
      var word = UInt32(byte)
      for _ in 0..<8 { word = word & 1 == 1 ? word >> 1 ^ polynomial : word >> 1 }
      tables[byte] = word
    }
    for index in 256..<tables.count {
      let shorter = tables[index - 256]
      tables[index] = shorter >> 8 ^ tables[Int(shorter & 0xFF)]
    }
    return tables
  }()

  private static func update(_ state: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard let start = bytes.baseAddress else { return state }
    return tables.withUnsafeBufferPointer { tables in
      @inline(__always) func fold(_ word: UInt32, zeros: Int) -> UInt32 {
        tables[(zeros + 3) << 8 | Int(word & 0xFF)] ^ tables[(zeros + 2) << 8 | Int(word >> 8 & 0xFF)]
          ^ tables[(zeros + 1) << 8 | Int(word >> 16 & 0xFF)] ^ tables[zeros << 8 | Int(word >> 24)]
      }
      @inline(__always) func load(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
      var state = state
      var index = 0
      while index + 16 <= bytes.count {
        state =
          fold(state ^ load(index), zeros: 12) ^ fold(load(index + 4), zeros: 8)
          ^ fold(load(index + 8), zeros: 4) ^ fold(load(index + 12), zeros: 0)
        index += 16
      }
      while index < bytes.count {
        state = state >> 8 ^ tables[Int((state ^ UInt32(bytes[index])) & 0xFF)]
        index += 1
      }
      return state
    }
  }
}

extension CRC32: CustomStringConvertible {
  package var description: String { hexadecimal }
}
