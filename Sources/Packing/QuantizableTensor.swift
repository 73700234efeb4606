import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// A tensor of an exclusive vector made ready to be quantised: one matrix, what is none, or a stack of matrices.
package enum QuantizableTensor: Sendable {
  case one(QuantizableMatrix)
  /// nil for matrices that are all zeros.
  case stack(MatrixStack, [QuantizableMatrix?])

  /// What an entry takes in the manifest beside the payload, compressed: mostly the digest of its source.
  package static let entryOverhead = 96
  /// What a matrix of a stack takes there: its rank.
  static let matrixOverhead = 1

  /// ‖v‖²
  package var energy: Double {
    switch self {
    case .one(let matrix): matrix.energy
    case .stack(_, let matrices): matrices.reduce(0) { $0 + ($1?.energy ?? 0) }
    }
  }

  /// Decomposes each matrix, one at a time.
  package init(
    _ tensor: ExclusiveTensor, as stack: MatrixStack?, _ demand: QuantizableMatrix.Demand
  ) throws(StorageError) {
    guard let stack else {
      self = .one(try QuantizableMatrix(tensor.vector(), shape: tensor.shape, demand))
      return
    }
    var demand = demand
    self = .stack(
      stack,
      try tensor.map(matricesOf: stack) { vector, shape throws(StorageError) in
        let matrix = try QuantizableMatrix(vector, shape: shape, demand)
        guard case .start(var start) = demand else { return matrix }
        defer { demand = .start(start) }
        if start.learns(from: matrix) || !start.isShortened(for: shape) { return matrix }
        let whole = try QuantizableMatrix(vector, shape: shape, .start(start.forgetful))
        start.learns(from: whole)
        return whole
      })
  }

  /// The cheapest form at a setting.
  ///
  /// - Parameter values: is asked where they are needed.
  package func encoding(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, values: some VectorElements
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try encoding { matrix, number throws(StorageError) in
      try matrix.encoding(
        at: setting, codecs, overhead: number == nil ? Self.entryOverhead : Self.matrixOverhead
      ) { body throws(StorageError) in try values.withElements(of: part(number), body) }
    }
  }

  /// A given form, with steps that are finer than a setting's by a factor.
  package func encoding(
    as form: QuantizedFactor.Form?, at setting: RateSetting, fineness: Double, values: some VectorElements
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try encoding { matrix, number throws(StorageError) in
      try matrix.encoding(as: number.map { form?.ofMatrix($0) } ?? form, at: setting, fineness: fineness) {
        body throws(StorageError) in try values.withElements(of: part(number), body)
      }
    }
  }

  private func part(_ number: Int?) -> MatrixPart? {
    guard let number, case .stack(let stack, _) = self else { return nil }
    return MatrixPart(stack: stack, number: number)
  }

  private func encoding(
    _ encode: (QuantizableMatrix, _ number: Int?) throws(StorageError) -> QuantizedFactor.Encoding
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    switch self {
    case .one(let matrix): return try encode(matrix, nil)
    case .stack(let stack, let matrices):
      var factors: [QuantizedFactor?] = []
      var lost = 0.0
      for (number, matrix) in matrices.enumerated() {
        let encoding = try matrix.map { matrix throws(StorageError) in try encode(matrix, number) }
        factors.append(encoding?.factor)
        lost += encoding?.squaredError ?? 0
      }
      return QuantizedFactor.Encoding(
        factor: QuantizedStack(stack, factors).map { .stack($0) }, squaredError: lost)
    }
  }
}

/// The elements of a tensor of an exclusive vector, where they are needed.
package protocol VectorElements {
  /// Lends those of one matrix; nil for all of them.
  func withElements(
    of part: MatrixPart?, _ body: (UnsafeBufferPointer<Float>) -> Void
  ) throws(StorageError)
}

extension ExclusiveTensor: VectorElements {
  package func withElements(
    of part: MatrixPart?, _ body: (UnsafeBufferPointer<Float>) -> Void
  ) throws(StorageError) {
    if let part {
      try vector(of: part.number, in: part.stack).withValues(body)
    } else {
      try vector().withValues(body)
    }
  }
}

extension QuantizedStack {
  /// nil when all matrices are left out.
  init?(_ stack: MatrixStack, _ matrices: [QuantizedFactor?]) {
    guard matrices.contains(where: { $0 != nil }) else { return nil }
    let isTrellis = matrices.contains {
      switch $0 {
      case .lowRank(let factor): factor.quantizer == .trellis
      case .layered(let factor): factor.lowRank.quantizer == .trellis
      case nil, .dense, .stack: false
      }
    }
    self.init(stack: stack, quantizer: isTrellis ? .trellis : .uniform, matrices: matrices)
  }
}
