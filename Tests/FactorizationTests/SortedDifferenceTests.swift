import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import TMPackZstandard
import Testing

/// A plain implementation of TMP-6-14, as the oracle.
private func sortedDifference(_ tensor: [UInt32], _ reference: [UInt32], block: Int) -> [UInt32] {
  func ordered(_ x: UInt32) -> UInt32 { x >> 31 == 1 ? ~x : x | 1 << 31 }
  return stride(from: 0, to: tensor.count, by: block).flatMap { start -> [UInt32] in
    let lanes = (start..<min(start + block, tensor.count)).map { i in
      let d = ordered(tensor[i]) &- ordered(reference[i])
      return (key: reference[i] >> 23 & 0xFF, value: d << 1 ^ (0 &- (d >> 31)))
    }
    return (0...255).flatMap { key in lanes.filter { $0.key == key }.map(\.value) }
  }
}

private func bytes(_ lanes: [UInt32]) -> [UInt8] {
  lanes.flatMap { lane in (0..<4).map { UInt8(truncatingIfNeeded: lane >> (8 * $0)) } }
}

@Suite struct SortedDifferenceTests {
  // TMP-6-14: "in blocks of 2^20 bytes … stably sorted"
  @Test(arguments: [1, 5, 1000, 1 << 18, 1 << 18 + 1, 2 << 18 + 77]) func agreesWithTheDefinition(_ count: Int) {
    var random = RandomBits(seed: UInt64(count))
    // Few exponents, many signs.
    let reference = (0..<count).map { _ in UInt32(truncatingIfNeeded: random.next()) & 0x83FF_FFFF }
    let tensor = reference.map { $0 &+ UInt32(truncatingIfNeeded: random.next() % 1000) }
    var result = [UInt8](repeating: 0, count: 4 * count)
    let boundaries = bytes(tensor).withUnsafeBytes { a in
      bytes(reference).withUnsafeBytes { b in
        result.withUnsafeMutableBytes { ExactDifference.encode(a, against: b, dtype: .f32, into: $0) }
      }
    }
    #expect(result == bytes(sortedDifference(tensor, reference, block: 1 << 18)))
    #expect(zip(boundaries, boundaries.dropFirst()).allSatisfy { $0 < $1 })
    #expect(boundaries.allSatisfy { $0 > 0 && $0 < 4 * count && $0.isMultiple(of: 4) })
    #expect(boundaries.contains(1 << 20) == (count > 1 << 18))
  }

  @Test(arguments: [DType.f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .f8e4m3fnuz, .f8e5m2fnuz, .i32, .u8, .c64, .f8e8m0])
  func anyBitsComeBackAcrossBlocks(_ dtype: DType) {
    var random = RandomBits(seed: 5)
    let count = (1 << 20) + 8 * 1021
    let tensor = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 7) }
    let reference = tensor.map { random.next() % 16 == 0 ? UInt8(truncatingIfNeeded: random.next()) : $0 }
    var difference = [UInt8](repeating: 0, count: count)
    var back = difference
    tensor.withUnsafeBytes { a in
      reference.withUnsafeBytes { b in
        _ = difference.withUnsafeMutableBytes { ExactDifference.encode(a, against: b, dtype: dtype, into: $0) }
        difference.withUnsafeBytes { d in
          back.withUnsafeMutableBytes { ExactDifference.decode(d, against: b, dtype: dtype, into: $0) }
        }
      }
    }
    #expect(back == tensor)
  }
}

@Suite struct MagnitudesTests {
  private func encode(_ lanes: [UInt8], _ width: Int) -> [UInt8] {
    lanes.withUnsafeBytes { raw in
      var result = [UInt8](repeating: 0xAA, count: Magnitudes.encodedSize(raw, width: width))
      result.withUnsafeMutableBytes { Magnitudes.encode(raw, width: width, into: $0) }
      return result
    }
  }

  private func decode(_ encoded: [UInt8], _ width: Int, count: Int) -> [UInt8]? {
    var lanes = [UInt8](repeating: 0x55, count: count * width)
    let isSound = encoded.withUnsafeBytes { raw in
      lanes.withUnsafeMutableBytes { Magnitudes.decode(raw, width: width, into: $0) }
    }
    return isSound ? lanes : nil
  }

  @Test(arguments: [2, 4, 8]) func anyLanesComeBack(_ width: Int) {
    var random = RandomBits(seed: 9)
    for count in [0, 1, 2, 7, 64, 1003] {
      for bits in 1...8 * width {
        let lanes = (0..<count).flatMap { _ -> [UInt8] in
          let lane = (random.next() >> UInt64(64 - bits)) >> (random.next() % UInt64(bits))
          return (0..<width).map { UInt8(truncatingIfNeeded: lane >> (8 * $0)) }
        }
        #expect(decode(encode(lanes, width), width, count: count) == lanes)
      }
    }
  }

  // TMP-5-11, by hand: the numbers of the specification's example.
  @Test func symbolsAreSmallFloats() {
    #expect(encode([31, 0], 2) == [31])
    #expect(encode([32, 0], 2) == [32, 0])
    #expect(encode([33, 0], 2) == [32, 1])
    #expect(encode([0xFF, 0xFF], 2) == [207, 0xFF, 7])
    #expect(encode([0xFF, 0xFF, 0xFF, 0xFF], 4) == [239, 0xFF, 0xFF, 0xFF, 0x0F])
    #expect(encode([UInt8](repeating: 0xFF, count: 8), 8) == [251] + [UInt8](repeating: 0xFF, count: 7) + [0x1F])
  }

  @Test func refusesWhatNothingEncodesTo() {
    #expect(decode([208], 2, count: 1) == nil, "no such symbol")
    #expect(decode([240], 4, count: 1) == nil, "no such symbol")
    #expect(decode([252], 8, count: 1) == nil, "no such symbol")
    #expect(decode([32], 2, count: 1) == nil, "a remainder is missing")
    #expect(decode([31, 0], 2, count: 1) == nil, "a byte too many")
    #expect(decode([32, 2], 2, count: 1) == nil, "an unused bit is set")
    #expect(decode([1], 2, count: 2) == nil, "a symbol is missing")
    #expect(decode([32, 1], 2, count: 1) == [33, 0])
  }

  @Test(arguments: [2, 4, 8]) func planesComeBack(_ width: Int) {
    var random = RandomBits(seed: 3)
    for count in [0, 1, 5, 129] {
      let lanes = (0..<count * width).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      for rotated in [false, true] {
        var planes = lanes
        var back = [UInt8](repeating: 0, count: lanes.count)
        lanes.withUnsafeBytes { raw in
          planes.withUnsafeMutableBytes { BytePlanes.split(raw, width: width, rotated: rotated, into: $0) }
        }
        planes.withUnsafeBytes { raw in
          back.withUnsafeMutableBytes { BytePlanes.merge(raw, width: width, rotated: rotated, into: $0) }
        }
        #expect(back == lanes)
      }
    }
    // TMP-5-10: −1.0 in BF16 is BF80; rotated, 7F01.
    var planes = [UInt8](repeating: 0, count: 2)
    [UInt8]([0x80, 0xBF]).withUnsafeBytes { raw in
      planes.withUnsafeMutableBytes { BytePlanes.split(raw, width: 2, rotated: true, into: $0) }
    }
    #expect(planes == [0x01, 0x7F])
  }
}
