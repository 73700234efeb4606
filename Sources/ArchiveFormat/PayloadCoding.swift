import Zstandard

/// What a payload's bytes are: it decides which filters are tried, and how hard the compressor looks.
public enum PayloadCoding: Sendable, Hashable {
  /// Elements of that many bytes, of which nothing more is known.
  case elements(width: Int)
  /// Floating-point numbers of that many bytes, as they are.
  case floats(width: Int)
  /// Differences (TMP-6-14) in lanes of that many bytes.
  case differences(width: Int)

  /// The ways to store a frame, of which the smallest result counts.
  var attempts: [FrameAttempt] {
    switch self {
    case .elements(let width) where BytePlanes.widths.contains(width): [FrameAttempt(.bytePlanes(width: width))]
    // TMP-5-10 moves the one sign bit: of numbers of one byte there is nothing to gain.
    case .floats(let width) where BytePlanes.widths.contains(width): [FrameAttempt(.rotatedPlanes(width: width))]
    case .differences(let width) where BytePlanes.widths.contains(width):
      // Planes win where the low bytes repeat: where a factor that is the same for all weights made the difference. In noise, higher
      // levels and short matches find repetitions that cost more than they save.
      [
        FrameAttempt(.magnitudes(width: width), level: 1, minimumMatch: 7),
        FrameAttempt(.bytePlanes(width: width), level: 1),
      ]
    case .differences: [FrameAttempt(.none, level: 1)]
    case .elements, .floats: [FrameAttempt(.none)]
    }
  }
}

/// A filter, and how to compress what it makes.
struct FrameAttempt {
  let filter: FrameFilter
  /// zstd's; nil for the one that the user asked for.
  let level: Int?
  let minimumMatch: Int?

  init(_ filter: FrameFilter, level: Int? = nil, minimumMatch: Int? = nil) {
    self.filter = filter
    self.level = level
    self.minimumMatch = minimumMatch
  }
}
