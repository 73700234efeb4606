/// Finds about the least count at which something is good enough, which more of it does not make worse: doubling or halving first,
/// then bisection of the exponent.
struct LeastCount {
  let start: Int
  let limit: Int
  /// What is found is at most this many times the least.
  static let precision = 1.05

  /// - Returns: nil where not even the limit is enough.
  func find<Failure>(_ isEnough: (Int) throws(Failure) -> Bool) throws(Failure) -> Int? {
    var (low, high) = (0, Int?.none)
    var next = start
    while true {
      if try isEnough(next) { high = next } else { low = next }
      guard let high else {
        if next >= limit { return nil }
        next = min(limit, 2 * next)
        continue
      }
      if high - low == 1 || Double(high) <= Self.precision * Double(low) { return high }
      let middle = low == 0 ? high / 2 : Int((Double(low) * Double(high)).squareRoot().rounded())
      next = min(max(middle, low + 1), high - 1)
    }
  }
}
