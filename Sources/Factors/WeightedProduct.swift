/// A low-rank factor times a weight: accᵢⱼ = fma(leftᵢₖ, rightₖⱼ, accᵢⱼ) for k = 0, 1, …, rank − 1.
package struct WeightedProduct: Sendable {
  package let rows: Int
  /// rows × rank, row-major.
  let left: FixedFloats
  let right: RightSide

  package var rank: Int { right.rank }
  package var columns: Int { right.columns }

  init(rows: Int, left: FixedFloats, right: RightSide) {
    precondition(left.count == rows * right.rank, "rows × rank numbers")
    (self.rows, self.left, self.right) = (rows, left, right)
  }

  /// - Parameter product: of scale 1.
  package init(_ product: LowRankProduct) {
    precondition(product.scale == 1, "scales are in the left sides")
    self.init(
      rows: product.rows,
      left: FixedFloats(count: product.left.count) { target in _ = target.update(fromContentsOf: product.left) },
      right: RightSide(product.right, rank: product.rank, columns: product.columns))
  }

  /// The same for who computes with it otherwise.
  package var product: LowRankProduct {
    LowRankProduct(rows: rows, columns: columns, rank: rank, left: Array(left.values), right: right.values, scale: 1)
  }

  /// Adds the elements from `start` on, whole rows.
  func add<Scalar: FactorAccumulator>(
    to run: UnsafeMutableBufferPointer<Scalar>, from start: Int, using isa: InstructionSet
  ) {
    let count = run.count / columns
    precondition(count * columns == run.count, "a run has whole rows")
    Scalar.accumulateLowRank(
      isa, run.baseAddress!, rows: count, columns: columns,
      left: left.values.baseAddress! + start / columns * rank, right: right.values, rank: rank)
  }
}
