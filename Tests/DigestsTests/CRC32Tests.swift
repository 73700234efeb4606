import TMPackDigests
import TestSupport
import Testing

@Suite struct CRC32Tests {
  /// By the definition, a bit at a time: the remainder of a division by the polynomial.
  private func remainder(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var state = ~UInt32(0)
    for byte in bytes {
      state ^= UInt32(byte)
      for _ in 0..<8 { state = state & 1 == 1 ? state >> 1 ^ 0xEDB8_8320 : state >> 1 }
    }
    return ~state
  }

  private func checksum(_ parts: [UnsafeRawBufferPointer], _ method: CRC32.Method) -> UInt32 {
    var checksum = CRC32()
    for part in parts { checksum.update(part, by: method) }
    return checksum.value
  }

  @Test(arguments: CRC32.Method.available) func agreesWithThePublishedCheckValue(_ method: CRC32.Method) {
    Array("123456789".utf8).withUnsafeBytes { #expect(checksum([$0], method) == 0xCBF4_3926) }
    #expect(checksum([], method) == 0)
    #expect(checksum([UnsafeRawBufferPointer(start: nil, count: 0)], method) == 0)
  }

  // TMP-6-24
  @Test func isWrittenAsEightDigits() {
    for (value, text) in [(0xCBF4_3926, "cbf43926"), (0x0A, "0000000a"), (0, "00000000")] as [(UInt32, String)] {
      #expect(CRC32(value).hexadecimal == text)
      #expect(CRC32(hexadecimal: text) == CRC32(value))
    }
    for text in ["", "a", "0000000A", "+000000a", "-0000000", "00000000a", "0000000g", "100000000"] {
      #expect(CRC32(hexadecimal: text) == nil, "\(text)")
    }
  }

  /// Every length around the steps of both methods, at every place in a step, of bytes with many and with few bits set.
  @Test(arguments: CRC32.Method.available) func followsTheDefinition(_ method: CRC32.Method) {
    var random = SeededGenerator(seed: 31)
    for bytes in [random.bytes(600), [UInt8](repeating: 0, count: 600), [UInt8](repeating: 255, count: 600)] {
      for length in 0...300 {
        let start = length % 16
        for start in [0, start, 15] {
          let part = start..<start + length
          let actual = bytes.withUnsafeBytes { checksum([UnsafeRawBufferPointer(rebasing: $0[part])], method) }
          #expect(actual == remainder(bytes[part]), "\(length) bytes at \(start)")
        }
      }
      for start in 0..<64 {
        let actual = bytes.withUnsafeBytes { checksum([UnsafeRawBufferPointer(rebasing: $0[start...])], method) }
        #expect(actual == remainder(bytes[start...]), "from \(start)")
      }
    }
  }

  /// A checksum goes on from any state: cut everywhere, and in three.
  @Test(arguments: CRC32.Method.available) func goesOnInParts(_ method: CRC32.Method) {
    var random = SeededGenerator(seed: 32)
    let bytes = random.bytes(1700)
    let expected = remainder(bytes)
    bytes.withUnsafeBytes { raw in
      for cut in 0...bytes.count {
        let middle = cut + (bytes.count - cut) / 3
        let parts = [raw[..<cut], raw[cut..<middle], raw[middle...]].map { UnsafeRawBufferPointer(rebasing: $0) }
        #expect(checksum(parts, method) == expected, "cut at \(cut) and \(middle)")
      }
    }
  }

  /// Every bit counts, in each part that the instructions keep and in the rest.
  @Test(arguments: CRC32.Method.available) func followsEveryBit(_ method: CRC32.Method) {
    var random = SeededGenerator(seed: 33)
    // As many as 16, 64 and 256 bytes at a time leave a rest of.
    for count in [213, 597] {
      var bytes = random.bytes(count)
      for bit in 0..<bytes.count * 8 {
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(bytes.withUnsafeBytes { checksum([$0], method) } == remainder(bytes), "bit \(bit) of \(count) bytes")
      }
    }
  }

  @Test(arguments: CRC32.Method.available) func ofManyBytes(_ method: CRC32.Method) {
    var random = SeededGenerator(seed: 34)
    let bytes = random.bytes(3 << 20 | 13)
    let whole = bytes.withUnsafeBytes { checksum([$0], method) }
    #expect(whole == remainder(bytes))
  }

  /// That of a whole from those of its parts, at every border, empty parts among them, and of a part of many bytes.
  @Test func joinsTheChecksumsOfParts() {
    var random = SeededGenerator(seed: 32)
    for bytes in [random.bytes(300), [UInt8](repeating: 0, count: 300)] {
      for border in 0...bytes.count {
        let (first, second) = (CRC32(remainder(bytes[..<border])), CRC32(remainder(bytes[border...])))
        #expect(first.followed(by: second, count: bytes.count - border).value == remainder(bytes))
      }
    }
    let many = random.bytes(3_000_017)
    let whole = many.withUnsafeBytes { CRC32.of($0) }
    let rest = many[1234...].withUnsafeBytes { CRC32.of($0) }
    #expect(CRC32(remainder(many[..<1234])).followed(by: rest, count: many.count - 1234).value == whole.value)
  }
}
