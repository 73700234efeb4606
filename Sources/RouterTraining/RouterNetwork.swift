import TMPackByteIO
import TMPackFactorization
import TMPackReading

/// A router while it is trained: hidden layers of a linear map, batch normalisation, a leaky rectifier and dropout, and a
/// linear layer at the end. Without hidden layers it is a linear classifier.
///
/// Matrices are row-major, a batch has a row for each input. Binary32.
package struct RouterNetwork {
  /// One hidden layer. The normalisation's shift takes the place of a bias.
  package struct Block {
    let inputs: Int
    let outputs: Int
    /// [outputs, inputs].
    var weights: [Float]
    var gamma: [Float]
    var beta: [Float]
    /// What the normalisation uses when it is not trained.
    var mean: [Float]
    var variance: [Float]
  }

  var blocks: [Block]
  /// [classes, inputs of the last layer].
  package var weights: [Float]
  package var bias: [Float]
  package let dimension: Int
  package let classCount: Int
  package let slope: Float
  let dropout: Float
  /// Share of the target that goes to all classes alike.
  let smoothing: Double
  /// As PyTorch's BatchNorm1d has them.
  static let epsilon: Float = 1e-5
  private static let momentum: Float = 0.1

  /// Weights are uniform within 1 ÷ √inputs, as PyTorch's Linear has them.
  package init(
    dimension: Int, hidden: [Int], classCount: Int, slope: Float, dropout: Float, smoothing: Double = 0,
    using random: inout RandomBits
  ) {
    func uniform(_ count: Int, inputs: Int) -> [Float] {
      let bound = 1 / Float(inputs).squareRoot()
      return (0..<count).map { _ in (2 * random.unit() - 1) * bound }
    }
    self.dimension = dimension
    self.classCount = classCount
    self.slope = slope
    self.dropout = dropout
    self.smoothing = smoothing
    var inputs = dimension
    blocks = []
    for outputs in hidden {
      blocks.append(
        Block(
          inputs: inputs, outputs: outputs, weights: uniform(inputs * outputs, inputs: inputs),
          gamma: [Float](repeating: 1, count: outputs), beta: [Float](repeating: 0, count: outputs),
          mean: [Float](repeating: 0, count: outputs), variance: [Float](repeating: 1, count: outputs)))
      inputs = outputs
    }
    weights = uniform(inputs * classCount, inputs: inputs)
    bias = uniform(classCount, inputs: inputs)
  }

  // MARK: Parameters

  /// Those that are trained, in an order that `gradients` has, too.
  package var parameters: [[Float]] {
    get { blocks.flatMap { [$0.weights, $0.gamma, $0.beta] } + [weights, bias] }
    set {
      for index in blocks.indices {
        blocks[index].weights = newValue[3 * index]
        blocks[index].gamma = newValue[3 * index + 1]
        blocks[index].beta = newValue[3 * index + 2]
      }
      weights = newValue[newValue.count - 2]
      bias = newValue[newValue.count - 1]
    }
  }

  /// Whether each of `parameters` is a matrix, which decays.
  var decays: [Bool] { blocks.flatMap { _ in [true, false, false] } + [true, false] }

  // MARK: Training

  /// What one hidden layer did to a batch.
  private struct Trace {
    let input: [Float]
    let normalized: [Float]
    /// 1 ÷ standard deviation, by column.
    let inverse: [Float]
    /// What the rectifier and dropout multiplied by.
    let factors: [Float]
  }

  /// The mean cross-entropy of a batch in nats, and its derivatives by the parameters. Updates the normalisation's means.
  ///
  /// - Parameter batch: of two rows at least, if there are hidden layers.
  package mutating func gradients(
    _ batch: [Float], labels: [Int], using random: inout RandomBits
  ) -> (loss: Double, gradients: [[Float]]) {
    let rows = labels.count
    var values = batch
    var traces: [Trace] = []
    for index in blocks.indices {
      let trace = forward(values, rows, &blocks[index], using: &random)
      values = trace.output
      traces.append(trace.trace)
    }
    let last = blocks.last?.outputs ?? dimension
    var slopes = logits(values, rows)
    let loss = crossEntropy(&slopes, labels: labels)
    var gradients: [[Float]] = [
      MatrixProducts.transposedTimes(slopes, values, rows: classCount, columns: last, inner: rows),
      Self.columnSums(slopes, rows, classCount),
    ]
    guard !blocks.isEmpty else { return (loss, gradients) }
    var flow = MatrixProducts.times(slopes, weights, rows: rows, columns: last, inner: classCount)
    for index in blocks.indices.reversed() {
      let block = blocks[index]
      let (own, products) = Self.backward(flow, rows, block, traces[index])
      gradients = own + gradients
      if index > 0 {
        flow = MatrixProducts.times(
          products, block.weights, rows: rows, columns: block.inputs, inner: block.outputs)
      }
    }
    return (loss, gradients)
  }

  private func logits(_ values: [Float], _ rows: Int) -> [Float] {
    let inputs = blocks.last?.outputs ?? dimension
    var logits = MatrixProducts.timesTransposed(values, weights, rows: rows, columns: classCount, inner: inputs)
    for row in 0..<rows { for c in 0..<classCount { logits[row * classCount + c] += bias[c] } }
    return logits
  }

  private func forward(
    _ input: [Float], _ rows: Int, _ block: inout Block, using random: inout RandomBits
  ) -> (output: [Float], trace: Trace) {
    let columns = block.outputs
    var values = MatrixProducts.timesTransposed(input, block.weights, rows: rows, columns: columns, inner: block.inputs)
    let mean = Self.columnSums(values, rows, columns).map { $0 / Float(rows) }
    var squares = [Float](repeating: 0, count: columns)
    values.withUnsafeMutableBufferPointer { values in
      for row in 0..<rows {
        for j in 0..<columns {
          let centred = values[row * columns + j] - mean[j]
          values[row * columns + j] = centred
          squares[j] += centred * centred
        }
      }
    }
    let inverse = squares.map { 1 / ($0 / Float(rows) + Self.epsilon).squareRoot() }
    for j in 0..<columns {
      block.mean[j] += Self.momentum * (mean[j] - block.mean[j])
      block.variance[j] += Self.momentum * (squares[j] / Float(max(1, rows - 1)) - block.variance[j])
    }
    let keep = 1 / (1 - dropout)
    var factors = [Float](repeating: 1, count: rows * columns)
    if dropout > 0 { for i in factors.indices { factors[i] = random.unit() < dropout ? 0 : keep } }
    var output = [Float](repeating: 0, count: rows * columns)
    let (gamma, beta) = (block.gamma, block.beta)
    values.withUnsafeMutableBufferPointer { values in
      factors.withUnsafeMutableBufferPointer { factors in
        output.withUnsafeMutableBufferPointer { output in
          for row in 0..<rows {
            for j in 0..<columns {
              let i = row * columns + j
              values[i] *= inverse[j]
              let y = gamma[j] * values[i] + beta[j]
              factors[i] *= y > 0 ? 1 : slope
              output[i] = y * factors[i]
            }
          }
        }
      }
    }
    return (output, Trace(input: input, normalized: values, inverse: inverse, factors: factors))
  }

  /// - Returns: the derivatives by the block's parameters, and by its linear map's outputs.
  private static func backward(
    _ flow: [Float], _ rows: Int, _ block: Block, _ trace: Trace
  ) -> (gradients: [[Float]], products: [Float]) {
    let columns = block.outputs
    var slopes = flow
    for i in slopes.indices { slopes[i] *= trace.factors[i] }
    let beta = columnSums(slopes, rows, columns)
    var gamma = [Float](repeating: 0, count: columns)
    for row in 0..<rows {
      for j in 0..<columns { gamma[j] += slopes[row * columns + j] * trace.normalized[row * columns + j] }
    }
    let share = 1 / Float(rows)
    for row in 0..<rows {
      for j in 0..<columns {
        let i = row * columns + j
        let rest = slopes[i] - share * (beta[j] + trace.normalized[i] * gamma[j])
        slopes[i] = block.gamma[j] * trace.inverse[j] * rest
      }
    }
    let weights = MatrixProducts.transposedTimes(
      slopes, trace.input, rows: columns, columns: block.inputs, inner: rows)
    return ([weights, gamma, beta], slopes)
  }

  private static func columnSums(_ values: [Float], _ rows: Int, _ columns: Int) -> [Float] {
    var sums = [Float](repeating: 0, count: columns)
    for row in 0..<rows { for j in 0..<columns { sums[j] += values[row * columns + j] } }
    return sums
  }

  /// The mean cross-entropy; leaves its derivatives in the place of the logits.
  private func crossEntropy(_ logits: inout [Float], labels: [Int]) -> Double {
    let even = smoothing / Double(classCount)
    var loss = 0.0
    for (row, label) in labels.enumerated() {
      let own = logits[row * classCount..<(row + 1) * classCount].map { Double($0) }
      let logarithms = Probabilities.logSoftmax(own)
      for c in 0..<classCount {
        let target = even + (c == label ? 1 - smoothing : 0)
        let slope = Logarithm.exponential(logarithms[c]) - target
        loss -= target * logarithms[c]
        logits[row * classCount + c] = Float(slope / Double(labels.count))
      }
    }
    return loss / Double(max(1, labels.count))
  }

  // MARK: Use

  /// The logits of a batch when nothing is trained: [rows, classes].
  func evaluated(_ batch: [Float], rows: Int) -> [Float] {
    var values = batch
    for block in blocks {
      let columns = block.outputs
      values = MatrixProducts.timesTransposed(
        values, block.weights, rows: rows, columns: columns, inner: block.inputs)
      let scales = zip(block.gamma, block.variance).map { $0 / ($1 + Self.epsilon).squareRoot() }
      for row in 0..<rows {
        for j in 0..<columns {
          let i = row * columns + j
          let y = (values[i] - block.mean[j]) * scales[j] + block.beta[j]
          values[i] = y > 0 ? y : slope * y
        }
      }
    }
    return logits(values, rows)
  }

  /// The network with the normalisations, and the shift and scale of the inputs, within its linear layers.
  func folded(_ standardization: Standardization) throws(StorageError) -> LayeredRouter {
    var layers: [FoldableLayer] = blocks.map { block in
      var layer = FoldableLayer(
        inputs: block.inputs, outputs: block.outputs, weights: block.weights.map { Double($0) },
        bias: [Double](repeating: 0, count: block.outputs))
      layer.normalizeOutputs(
        gamma: block.gamma.map { Double($0) }, beta: block.beta.map { Double($0) },
        mean: block.mean.map { Double($0) }, variance: block.variance.map { Double($0) },
        epsilon: Double(Self.epsilon))
      return layer
    }
    layers.append(
      FoldableLayer(
        inputs: blocks.last?.outputs ?? dimension, outputs: classCount, weights: weights.map { Double($0) },
        bias: bias.map { Double($0) }))
    layers[0].standardizeInputs(centers: standardization.centers, scales: standardization.scales)
    return try LayeredRouter(layers.map { layer throws(StorageError) in try layer.layer() }, slope: Double(slope))
  }
}

extension RandomBits {
  /// In [0, 1), of 24 bits.
  package mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }

  /// 0 ..< count in random order (Fisher and Yates), the same in every version of the language.
  mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(i, Int(next().multipliedFullWidth(by: UInt64(i + 1)).high))
    }
    return order
  }
}
