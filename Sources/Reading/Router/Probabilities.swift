/// Operations on logarithms of probabilities, in binary64 (TMP-11-9, TMP-11-10).
package enum Probabilities {
  /// Logarithms of the softmax of logits divided by a temperature.
  package static func logSoftmax(_ logits: [Double], temperature: Double = 1) -> [Double] {
    let scaled = logits.map { $0 / temperature }
    let greatest = scaled.max() ?? 0
    let sum = scaled.reduce(0) { $0 + Logarithm.exponential($1 - greatest) }
    let normalizer = greatest + Logarithm.natural(sum)
    return scaled.map { $0 - normalizer }
  }

  static func softmax(_ logits: [Double]) -> [Double] { logSoftmax(logits).map { Logarithm.exponential($0) } }

  /// The first of the greatest.
  package static func greatest(_ values: [Double]) -> Int {
    var best = 0
    for index in values.indices where values[index] > values[best] { best = index }
    return best
  }
}
