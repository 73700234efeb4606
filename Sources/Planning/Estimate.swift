/// A number that is known from a sample.
package struct Estimate: Sendable, Hashable {
  package let value: Double
  /// In about nine of ten cases the true number is no further away; 0 when nothing was left to the sample.
  package let deviation: Double

  package init(_ value: Double, deviation: Double = 0) {
    self.value = value
    self.deviation = deviation
  }

  package var range: ClosedRange<Double> { value - deviation...value + deviation }

  static func + (left: Estimate, right: Estimate) -> Estimate {
    // Samples of different parts err independently.
    let deviation = left.deviation * left.deviation + right.deviation * right.deviation
    return Estimate(left.value + right.value, deviation: deviation.squareRoot())
  }

  static func * (left: Double, right: Estimate) -> Estimate {
    Estimate(left * right.value, deviation: left.magnitude * right.deviation)
  }
}

/// What was measured of sampled tensors, by stratum, and what follows for all tensors (Cochran, “Sampling Techniques”,
/// 1977, chapters 5 and 6).
package struct StratifiedSample: Sendable {
  /// One tensor.
  package struct Item: Sendable {
    /// Stored bytes, nearly.
    package var size = 0.0
    /// Of it, what is in frames of its own: the rest shares frames with other tensors and is compressed there.
    var framed = 0.0
    /// Of it, what may be stored already, since an earlier expert has it in shared frames.
    var doubtful = 0.0
    /// ‖v‖²; 0 for what is not approximated.
    package var energy = 0.0
    /// ‖v − decoded‖²
    package var lost = 0.0
    /// Of work.
    package var seconds = 0.0

    package init(size: Double = 0, energy: Double = 0, lost: Double = 0, seconds: Double = 0) {
      self.size = size
      self.energy = energy
      self.lost = lost
      self.seconds = seconds
    }
  }

  private struct Stratum: Sendable {
    let population: Int
    var items: [Item] = []
  }

  private var strata: [Stratum]

  /// - Parameter populations: tensors of each stratum.
  package init(populations: [Int]) { strata = populations.map { Stratum(population: $0) } }

  package mutating func add(_ item: Item, to stratum: Int) { strata[stratum].items.append(item) }

  /// Over the sampled tensors alone.
  func sampled(_ value: (Item) -> Double) -> Double {
    strata.reduce(0) { $0 + $1.items.reduce(0) { $0 + value($1) } }
  }

  /// Over the others, as the sampled ones of their strata are; exactly 0 where there are none.
  func unsampled(_ value: (Item) -> Double) -> Double {
    strata.reduce(0) { sum, stratum in
      let count = Double(stratum.items.count)
      guard count > 0 else { return sum }
      return sum + (Double(stratum.population) - count) / count * stratum.items.reduce(0) { $0 + value($1) }
    }
  }

  /// Over all tensors.
  package func total(_ value: (Item) -> Double) -> Estimate {
    var total = 0.0
    var variance = 0.0
    var squares = 0.0
    for stratum in strata where !stratum.items.isEmpty {
      let values = stratum.items.map(value)
      let (n, population) = (Double(values.count), Double(stratum.population))
      let mean = values.reduce(0, +) / n
      total += population * mean
      guard values.count < stratum.population else { continue }
      // A lone tensor says nothing of the spread: taken to be half of its value.
      let spread =
        values.count > 1 ? values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1) : mean * mean / 4
      let part = population * population * (1 - n / population) * spread / n
      variance += part
      squares += part * part / max(1, n - 1)
    }
    guard variance > 0 else { return Estimate(total) }
    // Satterthwaite's degrees of freedom.
    return Estimate(total, deviation: Self.quantile(variance * variance / squares) * variance.squareRoot())
  }

  /// √(lost ÷ energy) over all tensors; nil when nothing is approximated.
  package var relativeError: Estimate? {
    let energy = total(\.energy).value
    guard energy > 0 else { return nil }
    let ratio = total(\.lost).value / energy
    // The ratio errs as its residuals do.
    let deviation = total { $0.lost - ratio * $0.energy }.deviation / energy
    let error = ratio.squareRoot()
    return Estimate(error, deviation: (ratio + deviation).squareRoot() - error)
  }

  /// Of Student's distribution, two-sided, 90 %, to 3 %.
  private static func quantile(_ freedom: Double) -> Double {
    let inverse = 1 / max(1, freedom)
    return 1.645 + inverse * (1.4 + inverse * (0.9 + inverse * 2.37))
  }
}
