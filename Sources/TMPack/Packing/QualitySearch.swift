import ByteIO

/// Finds the quality at which something that grows with it, and is dear to measure, comes into a window below or above a bound.
///
/// A cheap estimate that is off by nearly the same factor everywhere leads the way: what one measurement says of the factor is
/// put right in the next. Without one the quality is multiplied until the window is between two measurements, and then halved in.
struct QualitySearch {
  /// What is accepted.
  let window: ClosedRange<Double>
  /// Which side of the window a result must be on, where none is within.
  let fallback: Side
  /// Of the qualities that are looked at.
  var range = 0x1p-60...0x1p60
  var mostProbes = 24

  enum Side { case below, above }

  /// A quality and what was measured there.
  struct Measurement {
    let quality: Double
    let value: Double
  }

  enum Result {
    case within(Measurement)
    /// The value jumps over the window: this is the nearest on the side of the fallback.
    case beside(Measurement)
    /// However far the quality goes, the value stays on the side of the fallback; the farthest that was looked at.
    case short(Measurement)
    /// However far the quality goes, the value stays on the other side.
    case none(Measurement)

    /// nil where nothing is on the side of the fallback.
    var measurement: Measurement? {
      switch self {
      case .within(let found), .beside(let found), .short(let found): found
      case .none: nil
      }
    }
  }

  /// Measurements of one value, at qualities farther and farther apart, after which no other is expected.
  private static let mostUnchanged = 5

  /// What is known of both sides, and what was measured last.
  private struct State {
    var low: Measurement?
    var high: Measurement?
    var last: Measurement?
  }

  /// - Parameters:
  ///   - estimate, measure: do not decrease in the quality; positive.
  func run(
    estimate: (Double) -> Double,
    measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Result {
    // The middle of the window, so that a small miss falls within.
    let aim = (window.lowerBound + window.upperBound) / 2
    return try run(State(), measure: measure) { state in
      let factor = state.last.map { $0.value / estimate($0.quality) } ?? 1
      return Self.quality(where: { estimate($0) * factor }, reaches: aim, in: bracket(state))
    }
  }

  /// - Parameters:
  ///   - start: where to begin.
  ///   - measure: does not decrease in the quality; positive.
  func run(
    start: Double, measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Result {
    try run(State(), measure: measure) { state in
      if let low = state.low, let high = state.high { return low.quality.squareRoot() * high.quality.squareRoot() }
      return state.last.map { $0.quality * ($0.value > window.upperBound ? 0x1p-2 : 0x1p2) } ?? start
    }
  }

  private func bracket(_ state: State) -> ClosedRange<Double> {
    (state.low?.quality ?? range.lowerBound)...(state.high?.quality ?? range.upperBound)
  }

  private func run(
    _ state: State, measure: (Double) throws(StorageError) -> Double, next: (State) -> Double
  ) throws(StorageError) -> Result {
    var state = state
    var quality = next(state)
    var unchanged = 0
    for _ in 0..<mostProbes {
      quality = min(max(quality, range.lowerBound), range.upperBound)
      let here = Measurement(quality: quality, value: try measure(quality))
      if window.contains(here.value) { return .within(here) }
      let before = here.value > window.upperBound ? state.high : state.low
      if here.value > window.upperBound { state.high = here } else { state.low = here }
      state.last = here
      if state.low != nil, state.high != nil {
        unchanged = 0
      } else if let before {
        // As good or as small as it gets, or nothing is stored yet.
        let isSame = max(here.value, before.value) <= min(here.value, before.value) * 1.000_001
        unchanged = isSame ? unchanged + 1 : 0
        if unchanged == Self.mostUnchanged { break }
      }
      let bracket = bracket(state)
      if bracket.upperBound / bracket.lowerBound < 1.000_01 { break }
      quality = next(state)
      // Never so near to an end that nothing would be learned, and faster and faster while nothing is.
      let leap = unchanged == 0 ? 1.02 : Double(1 << (2 * unchanged))
      if let low = state.low, let high = state.high {
        let margin = (high.quality / low.quality).squareRoot().squareRoot().squareRoot().squareRoot()
        quality = min(max(quality, low.quality * margin), high.quality / margin)
      } else if let low = state.low {
        if low.quality >= range.upperBound { break }
        quality = max(quality, low.quality * leap)
      } else if let high = state.high {
        if high.quality <= range.lowerBound { break }
        quality = min(quality, high.quality / leap)
      }
    }
    let (near, far) = fallback == .below ? (state.low, state.high) : (state.high, state.low)
    guard let near else { return .none(far!) }
    return far == nil ? .short(near) : .beside(near)
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

extension ClosedRange<Double> {
  func scaled(by factor: Double) -> Self { lowerBound * factor...upperBound * factor }
}
