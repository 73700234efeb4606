import TMPackCKernels
import TMPackFactorization

/// A random number for each element of one expert's tensor, which depends on nothing else: not on chunks or threads, nor
/// on what other tensors there are.
///
/// The numbers are those of SplitMix64 in order, from a state that the seed, the FNV-1a hash of the tensor's name and the
/// expert's place among all are mixed into.
struct ElementRandomness: Sendable {
  private let state: UInt64

  init(seed: UInt64, tensor: String, expert: Int) {
    func mixed(_ value: UInt64) -> UInt64 {
      var random = RandomBits(seed: value)
      return random.next()
    }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in tensor.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    state = mixed(mixed(mixed(seed) ^ hash) &+ UInt64(expert))
  }

  /// Uniform in 0 ..< 1, a multiple of 2⁻⁵³.
  subscript(element: Int) -> Double {
    var random = RandomBits(seed: state &+ 0x9E37_79B9_7F4A_7C15 &* UInt64(element))
    return Double(random.next() >> 11) * 0x1p-53
  }

  /// Divides by `divisor` each of the values, elements from `first` on, whose number is below `density`, and sets the others
  /// to zero.
  func drop(from values: UnsafeMutableBufferPointer<Double>, first: Int, density: Double, dividingBy divisor: Double) {
    guard let start = values.baseAddress else { return }
    tmpack_drop_at_random(
      tmpack_best_isa(), start, values.count, state &+ 0x9E37_79B9_7F4A_7C15 &* UInt64(first), density, divisor)
  }
}

extension MergeSetting {
  package static let seed = MergeSetting(
    "seed", .integer(0...Int.max), default: "0", "another seed, other random numbers")
  static let rescale = MergeSetting(
    "rescale", .flag, default: "true", "whether what stays is divided by the probability that it stays")
}
