import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// What factors to make of the tensors of an exclusive vector.
///
/// ```swift
/// let plan = try FactorPlan(.lowRank(rank: 16), dtype: .bf16)
/// let factor = try plan.encode(difference, shape: info.shape)
/// ```
package struct FactorPlan: Sendable, Hashable {
  package enum Method: Sendable, Hashable {
    /// The leading `rank` singular triplets of each matrix.
    case lowRank(rank: Int)
    /// The leading round(ratio · min(m, n)) singular triplets of each matrix of m × n.
    case lowRankRatio(Double)
    /// The round(density · n) largest elements of each tensor of n elements.
    case sparse(density: Double)
    /// The signs of the round(density · n) largest elements of each matrix of n elements, and one scale, entropy-coded: as in
    /// ComPEFT (arXiv 2311.13171). The dtype is for what is no matrix.
    case ternary(density: Double)
    /// The sign of every element of each matrix and one scale: as in BitDelta (arXiv 2402.10193). The dtype is for what is no
    /// matrix.
    case signs
    /// Every element.
    case dense
  }

  package let method: Method
  package let dtype: FactorDType
  /// Whether a matrix that is known as a product of few components, such as a LoRA's update, keeps all of them,
  /// whatever rank the method says.
  package let keepsKnownRank: Bool

  /// All components of what is known as a product.
  package static let products = FactorPlan(method: .lowRank(rank: 1), dtype: .int8, keepsKnownRank: true)

  private init(method: Method, dtype: FactorDType, keepsKnownRank: Bool) {
    (self.method, self.dtype, self.keepsKnownRank) = (method, dtype, keepsKnownRank)
  }

  /// - Throws: `invalidArgument` for a rank below 1, or a ratio or density outside of (0, 1].
  package init(_ method: Method, dtype: FactorDType, keepsKnownRank: Bool = false) throws(StorageError) {
    switch method {
    case .lowRank(let rank):
      guard rank >= 1 else { throw StorageError(.invalidArgument, "the rank is \(rank); it must be at least 1") }
    case .lowRankRatio(let share), .sparse(let share), .ternary(let share):
      guard share > 0, share <= 1 else {
        throw StorageError(.invalidArgument, "the share is \(share); it must be above 0 and at most 1")
      }
    case .dense, .signs: break
    }
    self.method = method
    self.dtype = dtype
    self.keepsKnownRank = keepsKnownRank
  }
}

extension FactorPlan {
  /// The kind of factor that a tensor of `shape` gets:
  ///
  /// 1. Scalars and vectors are few and sensitive: dense, in 16 bits at least.
  /// 2. Other tensors are matrices of [d₀, rest].
  /// 3. A rank is at least 1 and at most the shorter side.
  /// 4. Low-rank factors that would hold as many numbers as the matrix are dense, in 16 bits at least.
  package func form(for shape: Shape, knownRank: Int? = nil) -> (method: Method, dtype: FactorDType) {
    guard let (rows, columns) = shape.matrix else { return (.dense, dtype.atLeast16Bits) }
    return form(rows: rows, columns: columns, knownRank: knownRank)
  }

  /// The same for a matrix.
  package func form(rows: Int, columns: Int, knownRank: Int? = nil) -> (method: Method, dtype: FactorDType) {
    let wanted: Int
    switch method {
    case .dense, .sparse, .ternary, .signs: return (method, dtype)
    case .lowRank(let rank): wanted = rank
    case .lowRankRatio(let ratio): wanted = Int((ratio * Double(min(rows, columns))).rounded())
    }
    let rank = max(1, min(keepsKnownRank ? knownRank ?? wanted : wanted, rows, columns))
    // rank (rows + columns) < rows · columns, where the left side may overflow.
    let (numbers, overflow) = rank.multipliedReportingOverflow(by: rows + columns)
    guard !overflow, numbers < rows * columns else { return (.dense, dtype.atLeast16Bits) }
    return (.lowRank(rank: rank), dtype)
  }

  /// The factor of an exclusive vector.
  ///
  /// It may come out smaller than planned: components and elements that would decode to nothing are left out. Values
  /// at the ends of float32's range (below 2⁻¹⁰⁰, from 2¹²⁷ on) are kept as f32, densely if they were to be low-rank.
  /// - Parameter values: the tensor's elements, row-major.
  /// - Throws: `nonFinite` for an infinity or a NaN; `limitExceeded` as `SingularVectors` does.
  /// - Complexity: that of `SingularVectors` for low rank; otherwise O(n), holding the result and an index of each
  ///   element that is kept.
  package func encode(_ values: UnsafeBufferPointer<Float>, shape: Shape) throws(StorageError) -> Factor {
    try encode(values, shape: shape, known: nil)
  }

  /// - Parameter known: what the tensor is as a product, but for the rounding of its elements. Then nothing is decomposed
  ///   but the product, and what rounding added is not taken for components.
  package func encode(
    _ values: UnsafeBufferPointer<Float>, shape: Shape, known: SingularVectors?
  ) throws(StorageError) -> Factor {
    precondition(values.count == shape.elementCount, "the shape is that of the values")
    guard values.largestMagnitude.isFinite else {
      throw StorageError(.nonFinite, "an exclusive vector holds an infinity or a NaN")
    }
    let (method, dtype) = form(for: shape, knownRank: known?.rank)
    switch method {
    case .lowRank(let rank):
      let (rows, columns) = shape.matrix!
      let vectors: SingularVectors
      if let known {
        vectors = known.leading(rank)
      } else {
        vectors = try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: rank)
      }
      guard let factor = LowRankFactor(rounding: vectors, to: dtype) else {
        return .dense(DenseFactor(rounding: values, to: .f32))
      }
      return .lowRank(factor)
    case .lowRankRatio: preconditionFailure("a form has a rank")
    case .sparse(let density): return .sparse(SparseFactor(rounding: values, density: density, to: dtype))
    case .ternary(let density):
      let (rows, columns) = shape.matrix!
      return quantized(values, QuantizedDenseFactor(ternary: values, rows: rows, columns: columns, density: density))
    case .signs:
      let (rows, columns) = shape.matrix!
      return quantized(values, QuantizedDenseFactor(signsOf: values, rows: rows, columns: columns))
    case .dense: return .dense(DenseFactor(rounding: values, to: dtype))
    }
  }

  /// - Parameter factor: nil at the ends of float32's range.
  private func quantized(_ values: UnsafeBufferPointer<Float>, _ factor: QuantizedDenseFactor?) -> Factor {
    factor.map { .quantized(.dense($0)) } ?? .dense(DenseFactor(rounding: values, to: .f32))
  }
}
