/// What a router's logits are worth on inputs whose classes are known.
package struct Calibration {
  package let logits: [[Double]]
  package let labels: [Int]

  package init(logits: [[Double]], labels: [Int]) {
    self.logits = logits
    self.labels = labels
  }
  /// Temperatures that are looked at: beyond, probabilities are all alike or all certain.
  private static let range = (low: 0.05, high: 20.0)

  package var accuracy: Double {
    let right = zip(logits, labels).count { Probabilities.greatest($0) == $1 }
    return Double(right) / Double(max(1, labels.count))
  }

  /// Mean cross-entropy in nats; infinite where an input's probabilities could not be used (TMP-11-8).
  package func loss(temperature: Double) -> Double { mean(at: temperature) { logarithms, label in -logarithms[label] } }

  /// The mean of a loss over the inputs, from the logarithms of their probabilities.
  private func mean(at temperature: Double, of loss: ([Double], _ label: Int) -> Double) -> Double {
    var sum = 0.0
    for (own, label) in zip(logits, labels) {
      let logarithms = Probabilities.logSoftmax(own, temperature: temperature)
      guard logarithms.allSatisfy(\.isFinite) else { return .infinity }
      sum += loss(logarithms, label)
    }
    return sum / Double(max(1, labels.count))
  }

  /// The temperature of the least loss: by golden section in its logarithm, where the loss has one minimum.
  ///
  /// Of n inputs one and a bit is taken to have another class: as if there were a few more than those seen. Else the
  /// temperature of inputs that are all right would be 0. Source: Platt, Probabilistic Outputs for Support Vector
  /// Machines, 1999.
  var bestTemperature: Double {
    let ratio = (5.0.squareRoot() - 1) / 2
    var low = Logarithm.natural(Self.range.low)
    var high = Logarithm.natural(Self.range.high)
    func loss(_ logarithm: Double) -> Double { smoothedLoss(temperature: Logarithm.exponential(logarithm)) }
    var inner = (high - ratio * (high - low), low + ratio * (high - low))
    var losses = (loss(inner.0), loss(inner.1))
    while high - low > 1e-3 {
      if losses.0 < losses.1 {
        high = inner.1
        inner = (high - ratio * (high - low), inner.0)
        losses = (loss(inner.0), losses.0)
      } else {
        low = inner.0
        inner = (inner.1, low + ratio * (high - low))
        losses = (losses.1, loss(inner.1))
      }
    }
    // More digits would say nothing.
    return (Logarithm.exponential((low + high) / 2) * 1000).rounded() / 1000
  }

  private func smoothedLoss(temperature: Double) -> Double {
    let other = 1 / (Double(labels.count) + 2)
    return mean(at: temperature) { logarithms, label in
      let others = (logarithms.reduce(0, +) - logarithms[label]) / Double(max(1, logarithms.count - 1))
      return -((1 - other) * logarithms[label] + other * others)
    }
  }

  /// The normalised entropy that at most the given share of the inputs is above.
  func entropy(aboveShare share: Double, temperature: Double) -> Double {
    let entropies = logits.map { logits in
      Uncertainty.normalizedEntropy(
        Probabilities.logSoftmax(logits, temperature: temperature).map { Logarithm.exponential($0) })
    }.sorted(by: >)
    let entropy = entropies[min(entropies.count - 1, Int(Double(entropies.count) * share))]
    // Not one that inputs have to the last bit, as those of few neighbours do: readers differ there (TMP-11-12).
    return min(1, ((entropy * 10_000).rounded(.up) + 0.5) / 10_000)
  }
}
