import TMPackTensorKit

/// The compressed form of one tensor's exclusive vector.
package enum Factor: Sendable, Hashable {
  case lowRank(LowRankFactor)
  case lowRankStack(LowRankStack)
  case sparse(SparseFactor)
  case dense(DenseFactor)
  case quantized(QuantizedFactor)
  case masked(MaskedFactor)

  /// nil for quantised and masked factors, whose symbols are entropy-coded.
  package var dtype: FactorDType? {
    switch self {
    case .lowRank(let factor): factor.dtype
    case .lowRankStack(let factor): factor.dtype
    case .sparse(let factor): factor.dtype
    case .dense(let factor): factor.dtype
    case .quantized, .masked: nil
    }
  }

  /// Elements of the tensor.
  package var elementCount: Int {
    switch self {
    case .lowRank(let factor): factor.rows * factor.columns
    case .lowRankStack(let factor): factor.stack.elementCount
    case .sparse(let factor): factor.elementCount
    case .dense(let factor): factor.count
    case .quantized(let factor): factor.elementCount
    case .masked(let factor): factor.count
    }
  }

  /// Bytes of all arrays, before entropy coding; of a quantised or masked factor, after it.
  package var byteCount: Int {
    switch self {
    case .lowRank(let factor): factor.byteCount
    case .lowRankStack(let factor): factor.byteCount
    case .sparse(let factor): factor.byteCount
    case .dense(let factor): factor.byteCount
    case .quantized(let factor): factor.payload.count
    case .masked(let factor): factor.mask.count + factor.vector.count
    }
  }

  /// Bytes of memory that it takes, decoded as far as it is.
  package var memorySize: Int {
    switch self {
    case .lowRank, .lowRankStack, .sparse, .dense: byteCount
    case .quantized(let factor): factor.payload.count + 2 * factor.symbolCount
    case .masked(let factor): byteCount + 2 * factor.symbols.count
    }
  }

  /// `weight` times the tensor as the product that decoding makes of it; nil for factors that are not of low rank.
  package func product(weight: Float) -> LowRankProduct? {
    switch self {
    case .lowRank(let factor): factor.prepared.weighted(weight).product
    case .quantized(.lowRank(let factor)): factor.prepared.weighted(weight).product
    case .lowRankStack, .sparse, .dense, .quantized(.dense), .quantized(.layered), .quantized(.stack), .masked: nil
    }
  }

  /// The same of each matrix of a stack, nil for those to which nothing is added; nil for factors that are something else, too.
  package func stackedProducts(weight: Float) -> (stack: MatrixStack, products: [LowRankProduct?])? {
    switch self {
    case .lowRankStack(let factor): return (factor.stack, factor.matrices.map { $0?.prepared.weighted(weight).product })
    case .quantized(.stack(let factor)):
      var products: [LowRankProduct?] = []
      for matrix in factor.matrices {
        switch matrix {
        case nil: products.append(nil)
        case .lowRank(let own): products.append(own.prepared.weighted(weight).product)
        default: return nil
        }
      }
      return (factor.stack, products)
    default: return nil
    }
  }

  /// Adds `weight` times the tensor. Which operations, in which order and precision, each case's type defines to the bit.
  ///
  /// - Precondition: `acc` has `elementCount` elements, row-major.
  package func accumulate(weight: Float, into acc: UnsafeMutableBufferPointer<Float>) {
    accumulate(weight: weight, into: acc, using: .best)
  }

  /// The same in float64, for tensors of that type.
  package func accumulate(weight: Float, into acc: UnsafeMutableBufferPointer<Double>) {
    accumulate(weight: weight, into: acc, using: .best)
  }

  package func accumulate<Scalar: FactorAccumulator>(
    weight: Float, into acc: UnsafeMutableBufferPointer<Scalar>, using isa: InstructionSet
  ) {
    precondition(acc.count == elementCount, "the accumulator has the tensor's size")
    WeightedFactor(self, weight: weight).add(to: acc, from: 0, using: isa)
  }
}
