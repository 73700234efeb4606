import TMPackByteIO
import TMPackCLAPACKE
import TMPackCOpenBLAS

/// All singular triplets of a matrix that stand out of rounding noise, in float64: A = U · diag(σ) · Vᵀ.
///
/// Those that do not, σ ≤ max(rows, columns) · 2⁻⁵² · σ₁, are left out: their vectors are whatever LAPACK makes of the
/// last bits, with no meaning in A.
package struct FullSVD: Sendable {
  /// min(rows, columns) of the matrix.
  package let shortSide: Int
  /// U: orthonormal columns, as many as there are triplets. nil for a matrix of zeros.
  package let left: DoubleMatrix?
  /// Descending, positive.
  package let singularValues: [Double]
  /// Vᵀ: orthonormal rows. nil for a matrix of zeros.
  package let right: DoubleMatrix?

  /// - Throws: `nonFinite`; `limitExceeded` for a shorter side above `Limits.decomposedSide`.
  /// - Complexity: O(rows · columns · s), s the shorter side; holds 2 (rows + columns) · s + 4 s² doubles.
  package init(_ matrix: DoubleMatrix) throws(StorageError) {
    BLAS.prepare()
    try DoubleMatrix.checkDecomposable(rows: matrix.rows, columns: matrix.columns)
    guard matrix.values.allFinite else {
      throw StorageError(.nonFinite, "a matrix with an infinity or a NaN has no singular values")
    }
    let (rows, columns) = (matrix.rows, matrix.columns)
    let s = matrix.shortSide
    shortSide = s
    // Row-major A is column-major Aᵀ = V diag(σ) Uᵀ, and so are the results: the columns of V are the rows of Vᵀ.
    var a = matrix.values
    var values = [Double](repeating: 0, count: s)
    var vt = [Double](repeating: 0, count: s * columns)
    var u = [Double](repeating: 0, count: rows * s)
    // What the documentation asks for, and room for blocks of 64.
    let workCount = 4 * s * s + 7 * s + 64 * min(rows + columns, 4 * Limits.decomposedSide)
    var work = [Double](repeating: 0, count: workCount)
    var integers = [Int32](repeating: 0, count: 8 * s)
    let info = LAPACKE_dgesdd_work(
      LAPACK_COL_MAJOR, CChar(UInt8(ascii: "S")), Int32(columns), Int32(rows), &a, Int32(columns), &values, &vt,
      Int32(columns), &u, Int32(s), &work, Int32(workCount), &integers)
    precondition(info >= 0, "the arguments are sound")
    guard info == 0 else {
      throw StorageError(.nonFinite, "the singular values of a matrix do not converge")
    }

    let noise = Double(max(rows, columns)) * 0x1p-52 * (values.first ?? 0)
    let kept = values.prefix { $0 > noise }.count
    singularValues = Array(values.prefix(kept))
    guard kept > 0 else {
      left = nil
      right = nil
      return
    }
    vt.removeLast((s - kept) * columns)
    right = DoubleMatrix(vt, rows: kept, columns: columns)
    let all = DoubleMatrix(u, rows: rows, columns: s)
    left = kept == s ? all : all.columns(0..<kept)
  }

  package var rank: Int { singularValues.count }
  /// Σ σₖ
  package var nuclearNorm: Double { singularValues.reduce(0, +) }

  /// U · Vᵀ: the nearest matrix whose singular values are all 1, or 0 in noise. nil for a matrix of zeros.
  package func orthogonalFactor() -> DoubleMatrix? {
    guard let left, let right else { return nil }
    return DoubleMatrix(left, times: right)
  }
}

extension FullSVD {
  init(shortSide: Int, left: DoubleMatrix?, singularValues: [Double], right: DoubleMatrix?) {
    self.shortSide = shortSide
    self.left = left
    self.singularValues = singularValues
    self.right = right
  }

  /// The first triplets, or all when there are fewer.
  package func leading(_ count: Int) -> FullSVD {
    guard count < rank else { return self }
    guard count > 0 else { return FullSVD(shortSide: shortSide, left: nil, singularValues: [], right: nil) }
    return FullSVD(
      shortSide: shortSide, left: left?.columns(0..<count), singularValues: Array(singularValues.prefix(count)),
      right: right?.rows(0..<count))
  }
}
