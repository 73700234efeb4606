/// A matrix that is known as scale · left · right, with few columns of the one and rows of the other.
///
/// Its elements are defined to the bit: accᵢⱼ = fma(leftᵢₖ, rightₖⱼ, accᵢⱼ) for k = 0, 1, …, rank − 1 in float32, from 0;
/// then scale · accᵢⱼ, rounded.
package struct LowRankProduct: Sendable {
  /// m.
  package let rows: Int
  /// n.
  package let columns: Int
  package let rank: Int
  /// m × rank, row-major.
  package let left: [Float]
  /// rank × n, row-major.
  package let right: [Float]
  package let scale: Float

  package init(rows: Int, columns: Int, rank: Int, left: [Float], right: [Float], scale: Float) {
    precondition(rows > 0 && columns > 0 && rank > 0 && left.count == rows * rank && right.count == rank * columns)
    self.rows = rows
    self.columns = columns
    self.rank = rank
    self.left = left
    self.right = right
    self.scale = scale
  }

  /// Some rows and columns of the matrix.
  package func part(rows: Range<Int>, columns: Range<Int>) -> LowRankProduct {
    LowRankProduct(
      rows: rows.count, columns: columns.count, rank: rank,
      left: Array(left[rows.lowerBound * rank..<rows.upperBound * rank]),
      right: (0..<rank).flatMap {
        right[$0 * self.columns + columns.lowerBound..<$0 * self.columns + columns.upperBound]
      },
      scale: scale)
  }

  /// Whether one of its sides vanishes.
  package var isZero: Bool { left.allSatisfy { $0 == 0 } || right.allSatisfy { $0 == 0 } }

  /// The elements, row-major.
  ///
  /// - Complexity: O(rank · rows · columns); holds the result.
  package func elements() -> [Float] {
    [Float](unsafeUninitializedCapacity: rows * columns) { values, count in
      values.initialize(repeating: 0)
      Float.accumulateLowRank(
        .best, values.baseAddress!, rows: rows, columns: columns, left: left, right: right, rank: rank)
      for i in 0..<values.count { values[i] *= scale }
      count = values.count
    }
  }
}

extension LowRankProduct {
  /// The sum of products of one shape, their components one after another.
  package init(sumOf products: [LowRankProduct]) {
    let first = products[0]
    let rank = products.reduce(0) { $0 + $1.rank }
    var left = [Float](repeating: 0, count: first.rows * rank)
    var right: [Float] = []
    right.reserveCapacity(rank * first.columns)
    var start = 0
    for product in products {
      precondition(product.rows == first.rows && product.columns == first.columns)
      for i in 0..<first.rows {
        for k in 0..<product.rank { left[i * rank + start + k] = product.scale * product.left[i * product.rank + k] }
      }
      right += product.right
      start += product.rank
    }
    self.init(rows: first.rows, columns: first.columns, rank: rank, left: left, right: right, scale: 1)
  }

  /// Each component with both of its sides about as large as the other, by a power of two, which rounds nothing: so that
  /// the sides stand a smaller dtype.
  package func balanced() -> LowRankProduct {
    var (left, right) = (left, right)
    for k in 0..<rank {
      var (l, r): (Float, Float) = (0, 0)
      for i in 0..<rows { l = max(l, left[i * rank + k].magnitude) }
      for j in 0..<columns { r = max(r, right[k * columns + j].magnitude) }
      guard l.isNormal, r.isNormal else { continue }
      let shift = (Int(r.exponent) - Int(l.exponent)) / 2
      let (up, down) = (
        Float(sign: .plus, exponent: shift, significand: 1), Float(sign: .plus, exponent: -shift, significand: 1)
      )
      for i in 0..<rows { left[i * rank + k] *= up }
      for j in 0..<columns { right[k * columns + j] *= down }
    }
    return LowRankProduct(rows: rows, columns: columns, rank: rank, left: left, right: right, scale: scale)
  }

  /// U √Σ · √Σ Vᵀ.
  package init(_ vectors: SingularVectors) {
    let (rows, columns, rank) = (vectors.rows, vectors.columns, vectors.rank)
    let roots = vectors.singularValues.map { Float($0.squareRoot()) }
    var left = [Float](repeating: 0, count: rows * rank)
    var right = vectors.right
    for k in 0..<rank {
      for i in 0..<rows { left[i * rank + k] = roots[k] * vectors.left[k * rows + i] }
      for j in 0..<columns { right[k * columns + j] *= roots[k] }
    }
    self.init(rows: rows, columns: columns, rank: rank, left: left, right: right, scale: 1)
  }
}

extension SingularVectors {
  /// The first of them.
  package func leading(_ count: Int) -> SingularVectors {
    guard count < rank else { return self }
    return SingularVectors(
      rows: rows, columns: columns, singularValues: Array(singularValues.prefix(count)),
      left: Array(left.prefix(count * rows)), right: Array(right.prefix(count * columns)))
  }
}
