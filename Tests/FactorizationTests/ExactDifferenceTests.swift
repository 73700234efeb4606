import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Testing

@Suite struct ExactDifferenceTests {
  private func encode(_ tensor: [UInt8], _ reference: [UInt8], _ dtype: DType) -> [UInt8] {
    var result = [UInt8](repeating: 0xAA, count: tensor.count)
    tensor.withUnsafeBytes { a in
      reference.withUnsafeBytes { b in
        _ = result.withUnsafeMutableBytes { ExactDifference.encode(a, against: b, dtype: dtype, into: $0) }
      }
    }
    return result
  }

  private func decode(_ difference: [UInt8], _ reference: [UInt8], _ dtype: DType) -> [UInt8] {
    var result = [UInt8](repeating: 0xAA, count: difference.count)
    difference.withUnsafeBytes { a in
      reference.withUnsafeBytes { b in
        result.withUnsafeMutableBytes { ExactDifference.decode(a, against: b, dtype: dtype, into: $0) }
      }
    }
    return result
  }

  @Test(arguments: DType.allCases) func anyBitsComeBack(_ dtype: DType) {
    var random = RandomBits(seed: 21)
    for lanes in [0, 1, 3, 64, 1001] {
      let count = lanes * dtype.planeWidth
      let tensor = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      // Unrelated, equal, and different in few bits.
      for reference in [
        tensor.map { _ in UInt8(truncatingIfNeeded: random.next()) }, tensor,
        tensor.map { random.next() % 8 == 0 ? $0 ^ 1 : $0 },
      ] {
        #expect(decode(encode(tensor, reference, dtype), reference, dtype) == tensor)
      }
      #expect(encode(tensor, tensor, dtype) == .init(repeating: 0, count: count))
    }
  }

  @Test(arguments: [DType.u8, .i8, .f8e4m3, .f8e5m2, .f8e8m0, .bool]) func everyPairOfBytesComesBack(_ dtype: DType) {
    let tensor = (0..<65_536).map { UInt8($0 >> 8) }
    let reference = (0..<65_536).map { UInt8($0 & 0xFF) }
    #expect(decode(encode(tensor, reference, dtype), reference, dtype) == tensor)
  }

  @Test func neighbouringValuesAreOneApart() {
    // The next value up is 2, the next one down is 1, in every format and across zero.
    #expect(encode([0x01, 0x80], [0x00, 0x80], .bf16) == [1, 0])
    #expect(encode([0x00, 0x00], [0x00, 0x80], .bf16) == [2, 0])
    #expect(encode([0x00, 0x80], [0x00, 0x00], .f16) == [1, 0])
    #expect(encode([0x80, 0x3F], [0x7F, 0x3F], .bf16) == [2, 0])
    #expect(encode([0, 0, 0x80, 0xBF], [0xFF, 0xFF, 0x7F, 0xBF], .f32) == [1, 0, 0, 0])
    #expect(encode([0x00], [0x80], .f8e4m3) == [2])
    #expect(encode([0x80], [0x7F], .f8e8m0) == [2])
    #expect(encode([0x00, 0x00], [0xFF, 0xFF], .i16) == [2, 0])
    #expect(encode([0, 0, 0, 0x80, 5, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0], .c64) == [255, 255, 255, 255, 10, 0, 0, 0])
  }
}
