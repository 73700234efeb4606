import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit

/// Makes the factor of a tensor of an exclusive vector, which is finite and not zero, as a reader will have it. Deterministic.
package protocol FactorMaker: Sendable {
  /// The matrices that the tensor is to be taken as; nil for one that is a matrix, or that goes by elements.
  func stack(for tensor: ExclusiveTensor) throws(StorageError) -> MatrixStack?

  /// - Returns: nil when the tensor is better left out.
  func factor(of vector: borrowing ExclusiveVector, shape: Shape) throws(StorageError) -> Factor?

  /// - Parameter stack: as `stack(for:)` has it.
  /// - Returns: nil when the tensor is better left out.
  func factor(of tensor: ExclusiveTensor, as stack: MatrixStack) throws(StorageError) -> Factor?
}

/// The factor maker of a tensor, by name; nil for a tensor that is kept exactly.
package typealias NamedFactorMaker = @Sendable (String) -> (any FactorMaker)?

/// By a rule that looks at one tensor.
struct PlannedFactors: FactorMaker {
  let plan: FactorPlan
  let stacking: Stacking

  func stack(for tensor: ExclusiveTensor) throws(StorageError) -> MatrixStack? {
    try stacking.stack(for: tensor) { stack, knownRank in
      // What else there is goes by the elements of the whole.
      switch plan.form(rows: stack.rows, columns: stack.columns, knownRank: knownRank).method {
      case .lowRank, .signs: true
      case .lowRankRatio, .sparse, .ternary, .dense: false
      }
    }
  }

  func factor(of vector: borrowing ExclusiveVector, shape: Shape) throws(StorageError) -> Factor? {
    try plan.encode(vector.values, shape: shape, known: vector.knownVectors).decoded()
  }

  func factor(of tensor: ExclusiveTensor, as stack: MatrixStack) throws(StorageError) -> Factor? {
    let factors = try tensor.map(matricesOf: stack) { vector, shape throws(StorageError) in
      try plan.encode(vector.values, shape: shape, known: vector.knownVectors)
    }
    var products: [LowRankFactor?] = []
    var signs: [QuantizedFactor?] = []
    for factor in factors {
      switch factor {
      case nil:
        products.append(nil)
        signs.append(nil)
      case .lowRank(let own): products.append(own)
      case .quantized(let own): signs.append(own)
      // Values at the ends of float32's range.
      default: return try tensor.vector().withValues { .dense(DenseFactor(rounding: $0, to: .f32)) }
      }
    }
    if products.count == stack.count { return .lowRankStack(LowRankStack(stack: stack, matrices: products)) }
    return try QuantizedStack(stack, signs).map { stack throws(StorageError) in
      try Factor.quantized(.stack(stack)).decoded()
    }
  }
}

/// At a given rate.
struct RatedFactors: FactorMaker {
  let setting: RateSetting
  let codecs: Set<QuantizedFactor.Codec>
  let stacking: Stacking
  /// Of matrices that are products of few components; nil treats them like any other.
  var products: FactorPlan?
  /// Of a matrix of some shape.
  var weights: @Sendable (Shape) throws(StorageError) -> MatrixWeights? = { _ in nil }

  func stack(for tensor: ExclusiveTensor) throws(StorageError) -> MatrixStack? { try stacking.stack(for: tensor) }

  func factor(of vector: borrowing ExclusiveVector, shape: Shape) throws(StorageError) -> Factor? {
    let weights = try weights(shape)
    let matrix = try QuantizableMatrix(vector, shape: shape, weights: weights, for: setting)
    if let products, let few = components(of: matrix, areKnown: vector.product != nil, areWeighed: weights != nil) {
      return try products.encode(vector.values, shape: shape, known: few).decoded()
    }
    let factor = try encoded(matrix, vector, overhead: QuantizableTensor.entryOverhead)
    return try factor.map { factor throws(StorageError) in try Factor.quantized(factor).decoded() }
  }

  /// Memory: one matrix with its singular vectors, and the factors of all.
  func factor(of tensor: ExclusiveTensor, as stack: MatrixStack) throws(StorageError) -> Factor? {
    if let products, case .stack = tensor.products {
      return try PlannedFactors(plan: products, stacking: stacking).factor(of: tensor, as: stack)
    }
    let matrices = try tensor.map(matricesOf: stack) { vector, shape throws(StorageError) in
      try encoded(
        QuantizableMatrix(vector, shape: shape, for: setting), vector, overhead: QuantizableTensor.matrixOverhead)
    }
    return try QuantizedStack(stack, matrices).map { stack throws(StorageError) in
      try Factor.quantized(.stack(stack)).decoded()
    }
  }

  /// What a matrix is a product of, where that is known, or is seen: half of the components that would be used, or fewer.
  private func components(of matrix: QuantizableMatrix, areKnown: Bool, areWeighed: Bool) -> SingularVectors? {
    if areKnown { return matrix.vectors }
    // Weighed vectors are not orthogonal, and do not tell.
    return areWeighed ? nil : matrix.components(ifAtMost: Int(min(setting.quality, 0x1p20)) / 2)
  }

  private func encoded(
    _ matrix: QuantizableMatrix, _ vector: borrowing ExclusiveVector, overhead: Int
  ) throws(StorageError) -> QuantizedFactor? {
    try matrix.encoding(at: setting, codecs, overhead: overhead) { $0(vector.values) }.factor
  }
}

/// As the search of a rate has decided.
struct SearchedFactor: FactorMaker {
  let kept: SpilledFactor

  func stack(for _: ExclusiveTensor) -> MatrixStack? {
    if case .stack(let form) = kept.form { form.stack } else { nil }
  }

  func factor(of _: borrowing ExclusiveVector, shape _: Shape) throws(StorageError) -> Factor? { try kept.loaded() }

  func factor(of _: ExclusiveTensor, as _: MatrixStack) throws(StorageError) -> Factor? { try kept.loaded() }
}
