import ByteIO

/// Finds the quality at which something that grows with it, and is dear to measure, comes into a window below or above a bound.
///
/// A cheap estimate that is off by nearly the same factor everywhere leads the way: what one measurement says of the factor is
/// put right in the next.
struct QualitySearch {
  /// What is accepted.
  let window: ClosedRange<Double>
  /// Which side of the window a result must be on, where none is within.
  let fallback: Side

  enum Side { case below, above }

  private static let mostProbes = 24
  private static let range = 0x1p-60...0x1p60

  /// - Parameters:
  ///   - estimate, measure: do not decrease in the quality; positive.
  /// - Returns: a quality, the last that was measured; nil when there is none on the side of the fallback.
  func run(
    estimate: (Double) -> Double, measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Double? {
    // The middle of the window, so that a small miss falls within.
    let aim = (window.lowerBound + window.upperBound) / 2
    var low: (quality: Double, value: Double)?
    var high: (quality: Double, value: Double)?
    var last: Double?
    var quality = Self.quality(where: estimate, reaches: aim, in: Self.range)
    var unchanged = 0
    for _ in 0..<Self.mostProbes {
      let value = try measure(quality)
      last = quality
      if window.contains(value) { return quality }
      if value > window.upperBound {
        high = (quality, value)
      } else {
        // As good as it gets.
        if let low, high == nil, value <= low.value * 1.000_001 { unchanged += 1 }
        low = (quality, value)
        if unchanged == 3 { break }
      }
      let bracket = (low?.quality ?? Self.range.lowerBound)...(high?.quality ?? Self.range.upperBound)
      if bracket.upperBound / bracket.lowerBound < 1.000_01 { break }
      let factor = value / estimate(quality)
      quality = Self.quality(where: { estimate($0) * factor }, reaches: aim, in: bracket)
      if let low, let high {
        // Never so near to an end that nothing would be learned.
        let margin = (high.quality / low.quality).squareRoot().squareRoot().squareRoot().squareRoot()
        quality = min(max(quality, low.quality * margin), high.quality / margin)
      } else if let low {
        quality = max(quality, low.quality * 1.02)
      } else if let high {
        quality = min(quality, high.quality / 1.02)
      }
      guard Self.range.contains(quality) else { break }
    }
    guard let best = (fallback == .below ? low : high)?.quality else { return nil }
    if best != last { _ = try measure(best) }
    return best
  }

  /// Bisection of the exponent.
  private static func quality(
    where estimate: (Double) -> Double, reaches aim: Double, in bracket: ClosedRange<Double>
  ) -> Double {
    var (low, high) = (bracket.lowerBound, bracket.upperBound)
    while high / low > 1.001 {
      let middle = low.squareRoot() * high.squareRoot()
      if estimate(middle) < aim { low = middle } else { high = middle }
    }
    return low.squareRoot() * high.squareRoot()
  }
}
