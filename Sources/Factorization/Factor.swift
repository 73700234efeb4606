/// The compressed form of one tensor's exclusive vector.
public enum Factor: Sendable, Hashable {
  case lowRank(LowRankFactor)
  case sparse(SparseFactor)
  case dense(DenseFactor)

  public var dtype: FactorDType {
    switch self {
    case .lowRank(let factor): factor.dtype
    case .sparse(let factor): factor.dtype
    case .dense(let factor): factor.dtype
    }
  }

  /// Elements of the tensor.
  public var elementCount: Int {
    switch self {
    case .lowRank(let factor): factor.rows * factor.columns
    case .sparse(let factor): factor.elementCount
    case .dense(let factor): factor.count
    }
  }

  /// Bytes of all arrays, before entropy coding.
  public var byteCount: Int {
    switch self {
    case .lowRank(let factor): factor.byteCount
    case .sparse(let factor): factor.byteCount
    case .dense(let factor): factor.byteCount
    }
  }

  /// Adds `weight` times the tensor. Which operations, in which order and precision, each case's type defines to the bit.
  ///
  /// - Precondition: `acc` has `elementCount` elements, row-major.
  public func accumulate(weight: Float, into acc: UnsafeMutableBufferPointer<Float>) {
    accumulate(weight: weight, into: acc, using: .best)
  }

  /// The same in float64, for tensors of that type.
  public func accumulate(weight: Float, into acc: UnsafeMutableBufferPointer<Double>) {
    accumulate(weight: weight, into: acc, using: .best)
  }

  package func accumulate<Scalar: FactorAccumulator>(
    weight: Float, into acc: UnsafeMutableBufferPointer<Scalar>, using isa: InstructionSet
  ) {
    switch self {
    case .lowRank(let factor): factor.accumulate(weight: weight, into: acc, using: isa)
    case .sparse(let factor): factor.accumulate(weight: weight, into: acc, using: isa)
    case .dense(let factor): factor.accumulate(weight: weight, into: acc, using: isa)
    }
  }
}
