import TMPackByteIO

/// Linear layers with leaky rectifiers between them: the paper's router, and with one layer a linear classifier.
///
/// Source: TMP-11-6.
package struct LayeredRouter: Sendable {
  /// One linear layer: weights · x + bias.
  package struct Layer: Sendable {
    package let inputs: Int
    package let outputs: Int
    package let bias: [Float]
    /// [inputs, outputs]: transposed, so that all outputs go on together.
    let columns: [Float]

    /// - Parameter weights: [outputs, inputs], row-major.
    /// - Throws: `shapeMismatch`; `nonFinite`.
    package init(inputs: Int, outputs: Int, bias: [Float], weights: [Float]) throws(StorageError) {
      guard inputs > 0, outputs > 0, bias.count == outputs, weights.count == inputs * outputs else {
        throw StorageError(
          .shapeMismatch, "\(weights.count) weights and \(bias.count) biases make no layer of [\(outputs), \(inputs)]")
      }
      guard bias.allSatisfy(\.isFinite), weights.allSatisfy(\.isFinite) else {
        throw StorageError(.nonFinite, "a weight of the router is not a finite number")
      }
      self.inputs = inputs
      self.outputs = outputs
      self.bias = bias
      columns = weights.transposed(rows: outputs, columns: inputs)
    }

    /// [outputs, inputs], row-major.
    package var weights: [Float] { columns.transposed(rows: inputs, columns: outputs) }

    /// In binary64: bias, then each product in the order of the inputs, rounded, added and rounded.
    func applied(to input: [Double]) -> [Double] {
      [Double](unsafeUninitializedCapacity: outputs) { sums, count in
        for output in 0..<outputs { sums.initializeElement(at: output, to: Double(bias[output])) }
        columns.withUnsafeBufferPointer { columns in
          for (k, x) in input.enumerated() {
            let column = columns.baseAddress! + k * outputs
            for output in 0..<outputs { sums[output] += Double(column[output]) * x }
          }
        }
        count = outputs
      }
    }
  }

  /// At least one; each takes what the one before gives.
  package let layers: [Layer]
  /// What the rectifiers multiply negative numbers by.
  package let slope: Double

  /// - Throws: `shapeMismatch` for layers that do not fit each other.
  package init(_ layers: [Layer], slope: Double = 0.01) throws(StorageError) {
    guard !layers.isEmpty, zip(layers, layers.dropFirst()).allSatisfy({ $0.outputs == $1.inputs }) else {
      throw StorageError(
        .shapeMismatch, "the layers of the router do not fit: \(layers.map { "[\($0.outputs), \($0.inputs)]" })")
    }
    self.layers = layers
    self.slope = slope
  }

  package var dimension: Int { layers[0].inputs }
  package var classCount: Int { layers.last!.outputs }

  package func logits(of input: ArraySlice<Float>) -> [Double] {
    var values = input.map { Double($0) }
    for (number, layer) in layers.enumerated() {
      if number > 0 { for i in values.indices where values[i] < 0 { values[i] *= slope } }
      values = layer.applied(to: values)
    }
    return values
  }
}
