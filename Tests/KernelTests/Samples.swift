import TMPackCKernels

/// The variants of the kernels that this machine can run.
let instructionSets = [TMPACK_ISA_PORTABLE, TMPACK_ISA_AVX2, TMPACK_ISA_AVX512].filter(tmpack_isa_is_available)

/// Around the lengths of vectors and blocks.
let lengths = [0, 1, 7, 16, 31, 255, 256, 257, 1000]

/// SplitMix64.
struct Bits {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Of about the size of weights.
  mutating func weight() -> Double { Double(Int64(bitPattern: next())) * 0x1p-65 }

  /// Anywhere: any bits, halfway between two short numbers and next to that, subnormal, zero, infinite, NaN.
  mutating func number() -> Double {
    switch next() % 8 {
    case 0: Double(bitPattern: next())
    case 1: Double(Float(bitPattern: UInt32(truncatingIfNeeded: next())))
    case 2:
      Double(
        bitPattern: Double(Float(bitPattern: UInt32(truncatingIfNeeded: next()) & 0xFFFF_8000)).bitPattern
          &+ next() % 3 &- 1)
    case 3: Double(bitPattern: weight().bitPattern & ~((1 << 41) - 1) | 1 << (next() % 42))
    case 4: weight() * 0x1p-140
    case 5: [0, -0, .infinity, -.infinity, .nan, 65520, 65519.999, 0x1p-25, 0x1.FFFFFFp127][Int(next() % 9)]
    default: weight()
    }
  }
}

extension [Double] {
  /// NaN equals itself, and zeros of two signs differ.
  func hasSameBits(as other: [Double]) -> Bool {
    count == other.count && zip(self, other).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
  }
}
