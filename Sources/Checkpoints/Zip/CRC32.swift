/// The checksum of ZIP entries (ISO 3309: polynomial 0xEDB88320, reflected), sixteen bytes a step.
struct CRC32: Sendable {
  private(set) var value: UInt32 = 0

  static func of(_ bytes: UnsafeRawBufferPointer) -> CRC32 {
    var checksum = CRC32()
    checksum.update(bytes)
    return checksum
  }

  /// `tables[k * 256 + b]`: the effect of byte b that is followed by k zeros.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 16 * 256)
    for byte in 0..<256 {
      var word = UInt32(byte)
      for _ in 0..<8 { word = word & 1 == 1 ? word >> 1 ^ 0xEDB8_8320 : word >> 1 }
      tables[byte] = word
    }
    for index in 256..<tables.count {
      let shorter = tables[index - 256]
      tables[index] = shorter >> 8 ^ tables[Int(shorter & 0xFF)]
    }
    return tables
  }()

  /// - Complexity: O(n), about 3 GB/s on a core.
  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    var word = ~value
    var index = 0
    Self.tables.withUnsafeBufferPointer { tables in
      @inline(__always) func fold(_ word: UInt32, zeros: Int) -> UInt32 {
        tables[(zeros + 3) << 8 | Int(word & 0xFF)] ^ tables[(zeros + 2) << 8 | Int(word >> 8 & 0xFF)]
          ^ tables[(zeros + 1) << 8 | Int(word >> 16 & 0xFF)] ^ tables[zeros << 8 | Int(word >> 24)]
      }
      @inline(__always) func load(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
      while index + 16 <= bytes.count {
        word =
          fold(word ^ load(index), zeros: 12) ^ fold(load(index + 4), zeros: 8)
          ^ fold(load(index + 8), zeros: 4) ^ fold(load(index + 12), zeros: 0)
        index += 16
      }
      while index < bytes.count {
        word = word >> 8 ^ tables[Int((word ^ UInt32(bytes[index])) & 0xFF)]
        index += 1
      }
    }
    value = ~word
  }
}
