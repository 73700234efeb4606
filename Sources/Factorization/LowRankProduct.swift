import CLAPACKE
import COpenBLAS
import TensorKit

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
  /// The singular triplets: from a QR decomposition of each side and the SVD of the small matrix between them, so that
  /// the whole is never formed.
  ///
  /// - Returns: nil for a product that is not finite, or has a side of 2³¹ or more.
  /// - Complexity: O((rows + columns) · rank² + rank³); holds 2 (rows + columns) · rank doubles.
  package func singularVectors() -> SingularVectors? {
    guard rows <= Int32.max, columns <= Int32.max, scale.isFinite, left.allSatisfy({ $0.isFinite }),
      right.allSatisfy({ $0.isFinite })
    else { return nil }
    BLAS.prepare()
    // Columns one after another: of the left side gathered, of the right side as its rows lie.
    var leftColumns = [Double](repeating: 0, count: rows * rank)
    for k in 0..<rank {
      for i in 0..<rows { leftColumns[k * rows + i] = Double(left[i * rank + k]) }
    }
    guard let l = OrthonormalFactor(leftColumns, length: rows, count: rank),
      let r = OrthonormalFactor(right.map(Double.init), length: columns, count: rank)
    else { return nil }

    // The core, l.triangle · r.triangleᵀ.
    var core = [Double](repeating: 0, count: l.width * r.width)
    for j in 0..<r.width {
      for i in 0..<l.width {
        var sum = 0.0
        for k in max(i, j)..<rank { sum += l.triangle[k * l.width + i] * r.triangle[k * r.width + j] }
        core[j * l.width + i] = sum
      }
    }
    let triplets = min(l.width, r.width)
    var values = [Double](repeating: 0, count: triplets)
    var u = [Double](repeating: 0, count: l.width * triplets)
    var vt = [Double](repeating: 0, count: triplets * r.width)
    let info = LAPACKE_dgesdd(
      LAPACK_COL_MAJOR, CChar(UInt8(ascii: "S")), Int32(l.width), Int32(r.width), &core, Int32(l.width), &values, &u,
      Int32(l.width), &vt, Int32(triplets))
    guard info == 0 else { return nil }

    var v = [Double](repeating: 0, count: r.width * triplets)
    let sign: Double = scale < 0 ? -1 : 1
    for k in 0..<triplets {
      for j in 0..<r.width { v[k * r.width + j] = sign * values[k] * vt[j * triplets + k] }
    }
    return SingularVectors(
      rows: rows, columns: columns, unitVectors: l.combined(u, count: triplets), areLeft: true,
      scaledVectors: r.combined(v, count: triplets), scale: Double(scale.magnitude))
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

/// A tall matrix X as Q · T: columns that are orthonormal, and a triangle.
private struct OrthonormalFactor {
  let length: Int
  /// Columns of Q: as many as X has, or as are possible.
  let width: Int
  /// Column-major.
  let q: [Double]
  /// `width` × the columns of X, column-major.
  let triangle: [Double]

  /// - Parameter columns: `count` columns of `length`, one after another.
  init?(_ columns: [Double], length: Int, count: Int) {
    self.length = length
    width = min(length, count)
    var matrix = columns
    var tau = [Double](repeating: 0, count: width)
    let rows = Int32(length)
    guard LAPACKE_dgeqrf(LAPACK_COL_MAJOR, rows, Int32(count), &matrix, rows, &tau) == 0 else { return nil }
    var triangle = [Double](repeating: 0, count: width * count)
    for j in 0..<count {
      for i in 0...min(j, width - 1) { triangle[j * width + i] = matrix[j * length + i] }
    }
    self.triangle = triangle
    guard
      LAPACKE_dorgqr(LAPACK_COL_MAJOR, rows, Int32(width), Int32(width), &matrix, rows, tau) == 0
    else { return nil }
    matrix.removeLast((count - width) * length)
    q = matrix
  }

  /// Q · W, where W has `count` columns of `width`: the columns, one after another.
  func combined(_ w: [Double], count: Int) -> [Double] {
    var result = [Double](repeating: 0, count: length * count)
    cblas_dgemm(
      CblasColMajor, CblasNoTrans, CblasNoTrans, Int32(length), Int32(count), Int32(width), 1, q, Int32(length), w,
      Int32(width), 0, &result, Int32(length))
    return result
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
