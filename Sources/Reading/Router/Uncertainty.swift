/// How little probabilities say (TMP-11-10).
package enum Uncertainty {
  /// −Σ p · ln p ÷ ln(number of classes): 0 for one certain class, 1 where all are equally probable.
  package static func normalizedEntropy(_ probabilities: [Double]) -> Double {
    let sum = probabilities.reduce(0) { $1 > 0 ? $0 - $1 * Logarithm.natural($1) : $0 }
    return min(1, max(0, sum / Logarithm.natural(Double(probabilities.count))))
  }
}
