import TMPackByteIO
import TMPackReading

/// A linear layer in binary64 that takes into itself what is done to its inputs or outputs.
struct FoldableLayer {
  package let inputs: Int
  package let outputs: Int
  /// [outputs, inputs].
  package var weights: [Double]
  package var bias: [Double]

  /// What follows it is y = (x − mean) ÷ √(variance + ε) · γ + β.
  mutating func normalizeOutputs(
    gamma: [Double], beta: [Double], mean: [Double], variance: [Double], epsilon: Double
  ) {
    for o in 0..<outputs {
      let scale = gamma[o] / (variance[o] + epsilon).squareRoot()
      for i in 0..<inputs { weights[o * inputs + i] *= scale }
      bias[o] = (bias[o] - mean[o]) * scale + beta[o]
    }
  }

  /// What comes before it is y = (x − center) · scale.
  mutating func standardizeInputs(centers: [Double], scales: [Double]) {
    for o in 0..<outputs {
      for i in 0..<inputs {
        weights[o * inputs + i] *= scales[i]
        bias[o] -= weights[o * inputs + i] * centers[i]
      }
    }
  }

  /// What comes before it is y = (x − mean) ÷ √(variance + ε) · γ + β.
  mutating func normalizeInputs(
    gamma: [Double], beta: [Double], mean: [Double], variance: [Double], epsilon: Double
  ) {
    for o in 0..<outputs {
      for i in 0..<inputs { bias[o] += weights[o * inputs + i] * beta[i] }
    }
    standardizeInputs(
      centers: mean, scales: zip(gamma, variance).map { $0 / ($1 + epsilon).squareRoot() })
  }

  /// - Throws: `nonFinite` for what binary32 cannot hold.
  package func layer() throws(StorageError) -> LayeredRouter.Layer {
    try LayeredRouter.Layer(
      inputs: inputs, outputs: outputs, bias: bias.map { Float($0) }, weights: weights.map { Float($0) })
  }
}

/// What gives each number of the training inputs mean 0 and variance 1.
struct Standardization {
  package let centers: [Double]
  /// 1 ÷ standard deviation; 0 for a number that is always the same, and so says nothing.
  package let scales: [Double]

  init(of inputs: Embeddings) {
    let columns = inputs.dimension
    var sums = [Double](repeating: 0, count: columns)
    for row in 0..<inputs.rows { for (j, x) in inputs[row].enumerated() { sums[j] += Double(x) } }
    let centers = sums.map { $0 / Double(inputs.rows) }
    var squares = [Double](repeating: 0, count: columns)
    for row in 0..<inputs.rows {
      for (j, x) in inputs[row].enumerated() { squares[j] += (Double(x) - centers[j]) * (Double(x) - centers[j]) }
    }
    self.centers = centers
    scales = zip(squares, centers).map { square, center in
      let deviation = (square / Double(inputs.rows)).squareRoot()
      // What is left of a constant is rounding.
      return deviation > 1e-6 * abs(center) && deviation > 1e-30 ? 1 / deviation : 0
    }
  }

  /// (x − center) · scale, in binary32.
  package func applied(to inputs: Embeddings) -> [Float] {
    var values = inputs.values
    let columns = inputs.dimension
    for row in 0..<inputs.rows {
      for j in 0..<columns {
        values[row * columns + j] = Float((Double(values[row * columns + j]) - centers[j]) * scales[j])
      }
    }
    return values
  }
}
