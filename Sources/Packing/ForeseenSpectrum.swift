/// The singular values of a matrix of which only the leading ones are known, and of the others what energy they have together.
///
/// The others are taken to fall on from the last known one as a · (1 − t)ᵖ in energy, t from 0 to 1, with the p that gives them
/// their sum: p = 3 is close to pure noise, a larger one to directions that die out. A search that looks at them asks for as
/// many components as the target is likely to take, before anything is encoded.
package struct ForeseenSpectrum {
  /// How many are known.
  package let known: Int
  /// All, descending.
  package let values: [Double]

  /// - Parameters:
  ///   - known: the leading singular values, at least one.
  ///   - side: how many there are.
  ///   - energy: of all together.
  package init(known values: [Double], side: Int, energy: Double) {
    known = values.count
    let missing = energy - values.reduce(0) { $0 + $1 * $1 }
    guard let last = values.last, known < side, missing > 0 else {
      self.values = values
      return
    }
    let rest = Double(side - known)
    // Where they were all as large as the last one, they would not have more.
    let power = max(0, last * last * rest / missing - 1)
    var all = values
    all.reserveCapacity(side)
    for k in 0..<side - known {
      let value = last * Self.power(1 - (Double(k) + 0.5) / rest, power / 2)
      // Below it, what is left does not count.
      guard value > 1e-6 * last else { break }
      all.append(value)
    }
    self.values = all
  }

  /// xᵖ for x in 0 ..< 1: by squares and roots, which are the same on every machine.
  private static func power(_ x: Double, _ p: Double) -> Double {
    var (result, whole, factor) = (1.0, p.rounded(.down), x)
    var fraction = p - whole
    while whole >= 1, result > 0 {
      if whole.remainder(dividingBy: 2) != 0 { result *= factor }
      whole = (whole / 2).rounded(.down)
      factor *= factor
    }
    var root = x
    for _ in 0..<12 {
      root = root.squareRoot()
      fraction *= 2
      if fraction >= 1 {
        result *= root
        fraction -= 1
      }
    }
    return result
  }
}
