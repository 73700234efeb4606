import TMPackZstandard

/// What a payload's bytes are: it decides which filters are tried, and how hard the compressor looks.
package enum PayloadCoding: Sendable, Hashable {
  /// Elements of that many bytes, of which nothing more is known.
  case elements(width: Int)
  /// Floating-point numbers of that many bytes, as they are.
  case floats(width: Int)
  /// Differences (TMP-6-14) in lanes of that many bytes.
  case differences(width: Int)
  /// Of any kind, and not to be compressed.
  case stored

  /// zstd's, where the user asks for none.
  package static let defaultLevel = 3

  /// The filters that may suit a frame.
  var filters: [FrameFilter] {
    switch self {
    case .elements(let width) where BytePlanes.widths.contains(width): [.bytePlanes(width: width)]
    // TMP-5-10 moves the one sign bit: of numbers of one byte there is nothing to gain.
    case .floats(let width) where BytePlanes.widths.contains(width): [.rotatedPlanes(width: width)]
    // Planes win where the low bytes repeat: where a factor that is the same for all weights made the difference.
    case .differences(let width) where BytePlanes.widths.contains(width):
      [.magnitudes(width: width), .bytePlanes(width: width)]
    case .elements, .floats, .differences, .stored: [.none]
    }
  }

  /// The ways to compress a filtered frame; each is tried only if it is the first, or the one before it was the best so far.
  ///
  /// Weights and their differences are noise, where looking for repetitions takes long and finds what costs more than it
  /// saves. A quick look tells where rows repeat or are zero.
  ///
  /// - Parameter level: the one that the user asked for.
  func searches(level: Int) -> [Zstandard.Search] {
    switch self {
    case .elements, .stored: [.level(level)]
    case .floats, .differences: [.none, .quick, level > Self.defaultLevel ? .level(level) : .long]
    }
  }
}
