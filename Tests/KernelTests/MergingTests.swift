import TMPackCKernels
import Testing

/// Every variant against the formula of one element, rounded after every operation.
@Suite struct MergingTests {
  @Test(arguments: instructionSets, lengths) func addsAndTrims(_ isa: tmpack_isa, _ count: Int) {
    var random = Bits(UInt64(count))
    let own = (0..<count).map { _ in random.number() }
    let base = own.enumerated().map { $0 % 4 == 0 ? $1 : random.number() }
    var found = own
    tmpack_subtract_base(isa, &found, base, count)
    #expect(found.hasSameBits(as: zip(own, base).map { $0 == $1 || ($0.isNaN && $1.isNaN) ? 0 : $0 - $1 }))
    found = own
    tmpack_add_scaled(isa, &found, 0.3, base, count)
    #expect(found.hasSameBits(as: zip(own, base).map { $0 + 0.3 * $1 }))
    found = own
    tmpack_scale_and_add(isa, &found, 0.3, base, count)
    #expect(found.hasSameBits(as: zip(own, base).map { $1 + 0.3 * $0 }))
    found = own
    tmpack_divide(isa, &found, 3, count)
    #expect(found.hasSameBits(as: own.map { $0 / 3 }))
    found = own
    tmpack_trim(isa, &found, 0.1, count)
    #expect(found.hasSameBits(as: own.map { $0.magnitude < 0.1 ? 0 : $0 }))
  }

  @Test(arguments: instructionSets, lengths) func sums(_ isa: tmpack_isa, _ count: Int) {
    var random = Bits(UInt64(count) + 1)
    let members = (0..<3).map { _ in (0..<count).map { _ in random.weight() } }
    for weights in [[1, 1, 1], [0.3, -1.7, 1]] as [[Double]] {
      let expected = (0..<count).map { i in zip(members, weights).reduce(0.0) { $0 + $1.1 * $1.0[i] } }
      var found = [Double](repeating: .nan, count: count)
      withPointers(members) { tmpack_weighted_sum(isa, &found, $0, weights, 3, count) }
      #expect(found.hasSameBits(as: expected))
    }
  }

  @Test(arguments: instructionSets, lengths) func multiplies(_ isa: tmpack_isa, _ count: Int) {
    var random = Bits(UInt64(count) + 2)
    let (a, b) = ((0..<count).map { _ in random.weight() }, (0..<count).map { _ in random.weight() })
    let whole = count / 16 * 16
    var sums = [Double](repeating: 0, count: 16)
    for i in 0..<whole { sums[i % 16] += a[i] * b[i] }
    var found = [Double](repeating: .nan, count: 8)
    tmpack_inner_product(isa, a, b, whole, &found)
    #expect(found.hasSameBits(as: (0..<8).map { sums[$0] + sums[$0 + 8] }))
  }

  @Test(arguments: instructionSets, [0, 0.1, 0.5, 0.8, 1] as [Double]) func drops(_ isa: tmpack_isa, _ density: Double)
  {
    for count in lengths {
      var random = Bits(UInt64(count) + 3)
      let values = (0..<count).map { _ in random.weight() }
      var numbers = Bits(77)
      let expected = values.map { Double(numbers.next() >> 11) * 0x1p-53 < density ? $0 / 0.7 : 0 }
      var found = values
      tmpack_drop_at_random(isa, &found, count, 77, density, 0.7)
      #expect(found.hasSameBits(as: expected))
    }
  }

  @Test(arguments: instructionSets, [(false, false), (false, true), (true, false)])
  func mergesWhatAgrees(_ isa: tmpack_isa, _ election: (byCount: Bool, tiesArePositive: Bool)) {
    let (byCount, tiesArePositive) = election
    for count in lengths {
      var random = Bits(UInt64(count) + 4)
      // Many zeros, and many sums that are zero.
      let members = (0..<4).map { _ in
        (0..<count).map { _ in random.next() % 3 == 0 ? random.weight() : Double(Int(random.next() % 3) - 1) }
      }
      for weights in [[1, 1, 1, 1], [0.5, -1, 2, 0.25], [1, -1, 0, 0]] as [[Double]] {
        for isNormalized in [false, true] {
          let expected = (0..<count).map { i in
            let elements = zip(members, weights).map { $1 * $0[i] }
            return merged(elements, weights, byCount, tiesArePositive, isNormalized)
          }
          var found = [Double](repeating: .nan, count: count)
          withPointers(members) {
            tmpack_disjoint_merge(isa, &found, $0, weights, 4, count, byCount, tiesArePositive, isNormalized)
          }
          #expect(found.hasSameBits(as: expected))
        }
      }
    }
  }

  private func merged(
    _ elements: [Double], _ weights: [Double], _ byCount: Bool, _ tiesArePositive: Bool, _ isNormalized: Bool
  ) -> Double {
    var elected = elements.reduce(0) { $0 + (byCount ? ($1 > 0 ? 1 : $1 < 0 ? -1 : 0) : $1) }
    if elected == 0, byCount || tiesArePositive { elected = 1 }
    var (sum, divisor) = (0.0, 0.0)
    for (element, weight) in zip(elements, weights) where elected > 0 ? element > 0 : elected < 0 && element < 0 {
      sum += element
      divisor += weight
    }
    return isNormalized && divisor != 0 ? sum / divisor : sum
  }

  @Test func countsAndCollectsKeys() {
    var random = Bits(5)
    let values = (0..<5000).map { _ in random.next() % 4 == 0 ? Double(random.next() % 3) : random.weight() }
    let keys = values.map { $0.bitPattern ^ (UInt64(bitPattern: Int64(bitPattern: $0.bitPattern) >> 63) | 1 << 63) }
    var counts = [UInt64](repeating: 0, count: 1 << 15)
    tmpack_count_digits(values, values.count, 15, &counts)
    var expected = [UInt64](repeating: 0, count: 1 << 15)
    for key in keys { expected[Int(key >> 49)] += 1 }
    #expect(counts == expected)
    for known in [1, 15, 30, 64] as [UInt32] {
      let prefix = keys[17] >> UInt64(64 - known)
      var found = [UInt64](repeating: 0, count: values.count)
      let count = tmpack_collect_keys(values, values.count, prefix, known, &found)
      #expect(Array(found[..<count]) == keys.filter { $0 >> UInt64(64 - known) == prefix })
    }
  }

  private func withPointers(_ members: [[Double]], _ body: (UnsafePointer<UnsafePointer<Double>?>) -> Void) {
    let copies = members.map { member in
      let copy = UnsafeMutablePointer<Double>.allocate(capacity: max(1, member.count))
      copy.initialize(from: member, count: member.count)
      return copy
    }
    defer { copies.forEach { $0.deallocate() } }
    body(copies.map { UnsafePointer($0) })
  }
}
