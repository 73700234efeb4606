/// SplitMix64 (Steele, Lea and Flood, 2014): a small generator whose output the language's version cannot change.
package struct RandomBits: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// `count` numbers that are 1 or -1, each with probability one half.
  package mutating func signs(_ count: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      var bits: UInt64 = 0
      for i in 0..<count {
        if i & 63 == 0 { bits = next() }
        buffer.initializeElement(at: i, to: bits & 1 == 0 ? 1 : -1)
        bits >>= 1
      }
      initialized = count
    }
  }
}
