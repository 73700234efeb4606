import TMPackByteIO

/// Finds the quality at which something that grows with it, and is dear to measure, comes into a window below or above a bound.
///
/// A cheap estimate that is off by nearly the same factor everywhere leads the way: what one measurement says of the factor is
/// put right in the next.
package struct QualitySearch {
  /// What is accepted.
  package let window: ClosedRange<Double>
  /// Which side of the window a result must be on, where none is within.
  let fallback: Side
  /// Of the qualities that are looked at.
  package var range = 0x1p-60...0x1p60
  var mostProbes = 24

  package init(window: ClosedRange<Double>, fallback: Side) {
    self.window = window
    self.fallback = fallback
  }

  package enum Side { case below, above }

  /// Whether a value on the side of the fallback is nearer to the window than another.
  package func isNearer(_ value: Double, than other: Double) -> Bool {
    fallback == .above ? value < other : value > other
  }

  /// A quality, what was measured there, and what came of it.
  package struct Measurement<Content> {
    package let quality: Double
    package let value: Double
    let content: Content
  }

  package enum Result<Content> {
    case within(Measurement<Content>)
    /// The value jumps over the window: the nearest on the side of the fallback, and on the other.
    case beside(Measurement<Content>, other: Measurement<Content>)
    /// However far the quality goes, the value stays on the side of the fallback; the farthest that was looked at.
    case short(Measurement<Content>)
    /// However far the quality goes, the value stays on the other side.
    case none(Measurement<Content>)

    /// Within the window or next to it, on whichever side.
    var nearest: Measurement<Content> {
      switch self {
      case .within(let found), .beside(let found, _), .short(let found), .none(let found): found
      }
    }

    /// nil where nothing is on the side of the fallback.
    package var measurement: Measurement<Content>? {
      switch self {
      case .within(let found), .beside(let found, _), .short(let found): found
      case .none: nil
      }
    }
  }

  /// Measurements of one value, at qualities farther and farther apart, after which no other is expected.
  private static let mostUnchanged = 5
  /// Where qualities so near to each other are on either side of the window, the value jumps.
  private static let jump = 1.002

  /// What is known of both sides, and what was measured last.
  private struct State<Content> {
    var low: Measurement<Content>?
    var high: Measurement<Content>?
    var last: Measurement<Content>?
    var beforeLast: Measurement<Content>?
  }

  // The middle of the window, so that a small miss falls within.
  private var aim: Double { (window.lowerBound + window.upperBound) / 2 }

  /// - Parameters:
  ///   - estimate, measure: do not decrease in the quality; positive.
  package func run<Content>(
    estimate: (Double) -> Double,
    measure: (Double) throws(StorageError) -> (value: Double, content: Content)
  ) throws(StorageError) -> Result<Content> {
    try run(State(), measure: measure) { state in
      let factor = state.last.map { $0.value / estimate($0.quality) } ?? 1
      return Self.quality(where: { estimate($0) * factor }, reaches: aim, in: bracket(state))
    }
  }

  /// - Parameters:
  ///   - known: a measurement outside of the window, from which the value changes smoothly.
  ///   - measure: does not decrease in the quality; positive.
  func run<Content>(
    from known: Measurement<Content>, measure: (Double) throws(StorageError) -> (value: Double, content: Content)
  ) throws(StorageError) -> Result<Content> {
    var state = State(last: known)
    if known.value > window.upperBound { state.high = known } else { state.low = known }
    return try run(state, measure: measure) { state in
      if let low = state.low, let high = state.high {
        return low.quality + (high.quality - low.quality) * (aim - low.value) / (high.value - low.value)
      }
      guard let last = state.last else { return 1 }
      var quality = last.quality * aim / last.value
      if let before = state.beforeLast {
        // As the value went from there to here, so it goes on; where it hardly did, far.
        let slope = (last.value - before.value) / (last.quality - before.quality)
        quality = slope > 0 ? last.quality + (aim - last.value) / slope : aim > last.value ? .infinity : 0
      }
      return min(max(quality, last.quality / 1.5), last.quality * 1.5)
    }
  }

  private func bracket<Content>(_ state: State<Content>) -> ClosedRange<Double> {
    (state.low?.quality ?? range.lowerBound)...(state.high?.quality ?? range.upperBound)
  }

  private func run<Content>(
    _ state: State<Content>, measure: (Double) throws(StorageError) -> (value: Double, content: Content),
    next: (State<Content>) -> Double
  ) throws(StorageError) -> Result<Content> {
    var state = state
    var quality = next(state)
    var unchanged = 0
    for _ in 0..<mostProbes {
      quality = min(max(quality, range.lowerBound), range.upperBound)
      let (value, content) = try measure(quality)
      let here = Measurement(quality: quality, value: value, content: content)
      if window.contains(value) { return .within(here) }
      let before = value > window.upperBound ? state.high : state.low
      if value > window.upperBound { state.high = here } else { state.low = here }
      (state.beforeLast, state.last) = (state.last, here)
      if state.low != nil, state.high != nil {
        unchanged = 0
      } else if let before {
        // As good or as small as it gets, or nothing is stored yet.
        let isSame = max(value, before.value) <= min(value, before.value) * 1.000_001
        unchanged = isSame ? unchanged + 1 : 0
        if unchanged == Self.mostUnchanged { break }
      }
      let bracket = bracket(state)
      if bracket.upperBound / bracket.lowerBound < Self.jump { break }
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
    return far.map { .beside(near, other: $0) } ?? .short(near)
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
  package func scaled(by factor: Double) -> Self { lowerBound * factor...upperBound * factor }
}
