import TMPackTensorKit

/// A factor as far as it does not depend on its weight: for who adds it again and again.
///
/// Memory: of a low-rank factor, rank · (rows + 2 · columns) floats; of a sparse one, 12 bytes an element.
package struct PreparedFactor: Sendable {
  enum Form: Sendable {
    case product(PreparedProduct)
    case sparse(SparseElements)
    case dense(DenseFactor)
    case quantizedDense(QuantizedDenseFactor)
    /// The one, then the other.
    case layered(PreparedProduct, residual: QuantizedDenseFactor)
    case masked(MaskedFactor)
    /// nil for matrices to which nothing is added.
    indirect case stack(MatrixStack, [PreparedFactor?])
  }

  let form: Form
  package let byteCount: Int

  package init(_ factor: Factor) {
    form =
      switch factor {
      case .lowRank(let factor): .product(factor.prepared)
      case .quantized(.lowRank(let factor)): .product(factor.prepared)
      case .quantized(.dense(let factor)): .quantizedDense(factor)
      case .quantized(.layered(let factor)): .layered(factor.lowRank.prepared, residual: factor.residual)
      case .masked(let factor): .masked(factor)
      case .lowRankStack(let factor):
        .stack(factor.stack, factor.matrices.map { $0.map { PreparedFactor(.lowRank($0)) } })
      case .quantized(.stack(let factor)):
        .stack(factor.stack, factor.matrices.map { $0.map { PreparedFactor(.quantized($0)) } })
      case .dense(let factor): .dense(factor)
      case .sparse(let factor): .sparse(SparseElements(factor))
      }
    byteCount =
      switch form {
      case .product(let product): product.byteCount
      case .sparse(let elements): 12 * elements.positions.count
      case .layered(let product, let residual): product.byteCount + 2 * residual.symbols.count
      case .dense, .quantizedDense, .masked: factor.memorySize
      case .stack(_, let matrices): matrices.reduce(0) { $0 + ($1?.byteCount ?? 0) }
      }
  }
}

/// A sparse factor's elements, not scaled.
struct SparseElements: Sendable {
  /// Ascending.
  let positions: [Int]
  let values: [Float]
  let scale: Float

  init(_ factor: SparseFactor) {
    (positions, values, scale) = (factor.allPositions, factor.allValues, factor.scale)
  }
}
