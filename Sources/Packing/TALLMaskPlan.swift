import TMPackByteIO
import TMPackFactors
import TMPackMerging
import TMPackTensorKit

/// How matrices become masks of one vector that all experts share: TALL masks (Wang et al., 2024, arXiv 2405.07813).
///
/// Expert t's matrix is approximated by mₜ ∘ τ. τ is the sum of all experts' task vectors, quantised once; mₜ selects the
/// elements with |τₜ| ≥ λ |τ − τₜ|, for the quantised τ.
package struct TALLMaskPlan: Sendable, Hashable {
  package static let standardLambda = 0.4
  /// Of τ, as a share of its root mean square.
  package static let step = 0.25

  package let lambda: Double
  /// For tensors that are no matrix: they are dense, in 16 bits at least.
  package let dtype: FactorDType

  /// - Throws: `invalidArgument` unless λ is finite and not negative.
  package init(lambda: Double = standardLambda, dtype: FactorDType = .int8) throws(StorageError) {
    guard lambda.isFinite, lambda >= 0 else {
      throw StorageError(.invalidArgument, "the λ of TALL masks is \(lambda); it must be a number from 0 on")
    }
    self.lambda = lambda
    self.dtype = dtype
  }
}

extension TALLMaskPlan {
  /// τ of a tensor that all members of the group share; nil where it vanishes.
  ///
  /// Memory: 12 bytes an element, beside the chunks of the merging methods.
  /// - Throws: `nonFinite` for a NaN or an infinity.
  package static func vector(of group: TensorGroup) throws(StorageError) -> QuantizedDenseFactor? {
    guard let (rows, columns) = group.info.shape.matrix else { return nil }
    var sum = [Float](repeating: 0, count: group.count)
    var energy = 0.0
    let ones = [Double](repeating: 1, count: group.members.count)
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      chunk.result.setToWeightedSum(of: chunk.members, ones)
      for i in 0..<chunk.count {
        let value = Float(chunk.result[i])
        guard value.isFinite else { throw StorageError(.nonFinite, "the sum of the experts' differences overflows") }
        sum[chunk.range.lowerBound + i] = value
        energy += Double(value) * Double(value)
      }
    }
    guard energy > 0 else { return nil }
    return sum.withUnsafeBufferPointer {
      QuantizedDenseFactor(
        quantizing: $0, rows: rows, columns: columns, step: step * (energy / Double(group.count)).squareRoot())
    }
  }

  /// An expert's part of the vector; nil when it selects nothing.
  package func factor(of own: UnsafeBufferPointer<Float>, in vector: QuantizedDenseFactor) -> Factor? {
    let scale = Double(vector.scale)
    return MaskedFactor(of: vector) { i in
      TALLMask.selects(Double(own[i]), of: scale * Double(vector.symbols[i]), factor: lambda)
    }.map { .masked($0) }
  }
}
