import TMPackCLAPACKE
import TMPackCOpenBLAS
import TMPackFactors

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

/// A tall matrix X as Q · T: columns that are orthonormal, and a triangle.
private struct OrthonormalFactor {
  package let length: Int
  /// Columns of Q: as many as X has, or as are possible.
  package let width: Int
  /// Column-major.
  package let q: [Double]
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
