import TMPackCKernels
import TMPackTensorKit
import Testing

/// Every variant against the rule for one element.
@Suite struct ConversionTests {
  @Test(arguments: instructionSets, [TMPACK_BF16, TMPACK_F16]) func widensShortNumbers(
    _ isa: tmpack_isa, _ type: tmpack_element
  ) {
    let count = 1 << 16
    let bits = (0..<count).map { UInt16($0) }
    func expected(_ index: Int) -> Float {
      type == TMPACK_BF16 ? BFloat16.float(bits: UInt16(index)) : Half.float(bits: UInt16(index))
    }
    var floats = [Float](repeating: 1, count: count)
    tmpack_widen_f32(isa, type, bits, &floats, count)
    #expect(floats.indices.allSatisfy { floats[$0].bitPattern == expected($0).bitPattern })
    var doubles = [Double](repeating: 1, count: count)
    tmpack_widen_f64(isa, type, bits, &doubles, count)
    #expect(doubles.hasSameBits(as: (0..<count).map { Double(expected($0)) }))
  }

  @Test(arguments: instructionSets) func roundsOnce(_ isa: tmpack_isa) {
    var random = Bits(1)
    for count in lengths + [100_000] {
      let doubles = (0..<count).map { _ in random.number() }
      let floats = doubles.map { Float($0) }
      check(count, 2, { tmpack_round_f64(isa, TMPACK_BF16, doubles, $0, count) }) { BFloat16.bits(odd(doubles[$0])) }
      check(count, 2, { tmpack_round_f64(isa, TMPACK_F16, doubles, $0, count) }) { Half.bits(odd(doubles[$0])) }
      check(count, 2, { tmpack_round_f32(isa, TMPACK_BF16, floats, $0, count) }) { BFloat16.bits(floats[$0]) }
      check(count, 2, { tmpack_round_f32(isa, TMPACK_F16, floats, $0, count) }) { Half.bits(floats[$0]) }
      check(count, 4, { tmpack_round_f64(isa, TMPACK_F32, doubles, $0, count) }) { checked(floats[$0]) }
      check(count, 4, { tmpack_round_f32(isa, TMPACK_F32, floats, $0, count) }) { checked(floats[$0]) }
      check(count, 8, { tmpack_round_f64(isa, TMPACK_F64, doubles, $0, count) }) { checked(doubles[$0]) }
      check(count, 8, { tmpack_round_f32(isa, TMPACK_F64, floats, $0, count) }) { checked(Double(floats[$0])) }
    }
  }

  @Test(arguments: instructionSets) func subtracts(_ isa: tmpack_isa) {
    var random = Bits(2)
    for count in lengths {
      let doubles = (0..<2).map { _ in (0..<count).map { _ in random.number() } }
      let equal = zip(doubles[0], doubles[1]).enumerated().map { $0 % 3 == 0 ? $1.0 : $1.1 }
      var found = [Float](repeating: 1, count: count)
      tmpack_difference_f32(isa, TMPACK_F64, doubles[0], equal, &found, count)
      same(found, zip(doubles[0], equal).map { $0 == $1 ? 0 : Float($0 - $1) })
      let shorts = [doubles[0], equal].map { $0.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 48) } }
      for (type, float) in [(TMPACK_BF16, BFloat16.float), (TMPACK_F16, Half.float)] {
        tmpack_difference_f32(isa, type, shorts[0], shorts[1], &found, count)
        same(found, zip(shorts[0], shorts[1]).map { float($0) == float($1) ? 0 : float($0) - float($1) })
      }
      let floats = [doubles[0], equal].map { $0.map { Float($0) } }
      tmpack_difference_f32(isa, TMPACK_F32, floats[0], floats[1], &found, count)
      same(found, zip(floats[0], floats[1]).map { $0 == $1 ? 0 : $0 - $1 })
    }
  }

  /// As integers: above infinity's where there is a NaN.
  @Test(arguments: instructionSets) func findsTheLargestMagnitude(_ isa: tmpack_isa) {
    var random = Bits(3)
    for count in lengths {
      var values = (0..<count).map { _ in Float(random.weight()) }
      func check() {
        let expected = values.map(\.magnitude.bitPattern).max() ?? 0
        #expect(tmpack_largest_magnitude_f32(isa, values, count) == expected, "\(count) values")
      }
      check()
      for special in [-3, -Float.infinity, Float(bitPattern: 0xFFC0_0001)] where count > 0 {
        values[Int(random.next() % UInt64(count))] = special
        check()
      }
    }
  }

  @Test(arguments: instructionSets) func sumsSquaresInEightLanes(_ isa: tmpack_isa) {
    var random = Bits(4)
    for count in lengths.map({ $0 & ~7 }) {
      let values = (0..<count).map { _ in Float(random.weight()) }
      var expected = [Double](repeating: 0, count: 8)
      for (index, value) in values.enumerated() { expected[index % 8] += Double(value) * Double(value) }
      var lanes = [Double](repeating: 1, count: 8)
      tmpack_sum_squares_f32(isa, values, count, &lanes)
      #expect(lanes.hasSameBits(as: expected), "\(count) values")
    }
  }

  /// One element that is not finite, at any place.
  @Test(arguments: instructionSets) func findsWhatIsNotFinite(_ isa: tmpack_isa) {
    for place in [0, 1, 63, 4095, 4096, 9999] {
      var values = [Double](repeating: .greatestFiniteMagnitude, count: 10_000)
      #expect(tmpack_is_finite(isa, TMPACK_F64, values, values.count))
      values[place] = place % 2 == 0 ? -.infinity : .nan
      #expect(!tmpack_is_finite(isa, TMPACK_F64, values, values.count))
      var halves = [UInt16](repeating: 0xFBFF, count: 10_000)
      #expect(tmpack_is_finite(isa, TMPACK_F16, halves, halves.count))
      halves[place] = 0x7C00
      #expect(!tmpack_is_finite(isa, TMPACK_F16, halves, halves.count))
      #expect(tmpack_is_finite(isa, TMPACK_BF16, halves, halves.count))
      halves[place] = 0xFF81
      #expect(!tmpack_is_finite(isa, TMPACK_BF16, halves, halves.count))
      var floats = [Float](repeating: 1, count: 10_000)
      floats[place] = .nan
      #expect(!tmpack_is_finite(isa, TMPACK_F32, floats, floats.count))
      #expect(tmpack_is_finite(isa, TMPACK_F32, floats, place))
    }
  }

  private func same(_ found: [Float], _ expected: [Float], _ location: SourceLocation = #_sourceLocation) {
    let isSame = zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
    #expect(isSame, sourceLocation: location)
  }

  /// At an odd address, with nothing written beside it.
  private func check<Lane: FixedWidthInteger>(
    _ count: Int, _ width: Int, _ convert: (UnsafeMutableRawPointer) -> Void, _ expected: (Int) -> Lane,
    _ location: SourceLocation = #_sourceLocation
  ) {
    var bytes = [UInt8](repeating: 0xA5, count: count * width + 2)
    bytes.withUnsafeMutableBytes { convert($0.baseAddress! + 1) }
    let isSame = bytes.withUnsafeBytes { raw in
      (0..<count).allSatisfy { raw.loadUnaligned(fromByteOffset: 1 + $0 * width, as: Lane.self) == expected($0) }
    }
    #expect(isSame && bytes.first == 0xA5 && bytes.last == 0xA5, sourceLocation: location)
  }

  private func checked(_ value: Float) -> UInt32 { value.isNaN ? 0x7FC0_0000 : value.bitPattern }
  private func checked(_ value: Double) -> UInt64 { value.isNaN ? 0x7FF8 << 48 : value.bitPattern }

  /// Rounded to odd: what a second rounding to fewer bits needs not to be one rounding too many.
  private func odd(_ value: Double) -> Float {
    let nearest = Float(value)
    let back = Double(nearest)
    if back == value || value.isNaN || nearest.bitPattern & 1 == 1 { return nearest }
    if nearest.isInfinite { return value < 0 ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude }
    return back < value ? nearest.nextUp : nearest.nextDown
  }
}
