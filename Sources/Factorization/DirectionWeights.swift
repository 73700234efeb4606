import TMPackByteIO
import TMPackCLAPACKE
import TMPackCOpenBLAS
import TMPackFactors

/// How much the directions along one side of a matrix matter: their second moments, measured on data.
///
/// With M = C ÷ mean of its diagonal + `floor` for the moments C, an approximation whose error is small in the norm of M loses little
/// where the data lie. Any W with Wᵀ W = M gives the same decomposition, and M's triangular factor is the quickest to have.
/// The floor keeps a quantiser's noise along directions without data from being blown up (Spec/decisions/0029).
package struct DirectionWeights: Sendable {
  private let content: Content

  private enum Content: Sendable {
    /// L with L Lᵀ = M, row-major; what is above the diagonal is not read.
    case triangular([Float])
    /// √M.
    case diagonal([Float])
  }

  package let count: Int

  private static let floor = 0.2

  /// - Parameter moments: not negative, one for each row or column.
  /// - Returns: nil where all are 0.
  package init?(diagonal moments: [Double]) {
    let mean = moments.reduce(0, +) / Double(max(1, moments.count))
    guard mean > 0 else { return nil }
    content = .diagonal(moments.map { Float(($0 / mean + Self.floor).squareRoot()) })
    count = moments.count
  }

  /// - Parameter moments: n × n, of finite numbers, relative to the mean of its diagonal; its lower triangle by rows is read.
  /// - Returns: nil where they have eigenvalues so far below 0 that no rounding of the numbers explains them.
  /// - Complexity: O(n³ ÷ 3); holds as much as the moments.
  package init?(relativeMoments moments: [Float], order n: Int) {
    precondition(moments.count == n * n)
    BLAS.prepare()
    // Moments that were rounded to few digits are not quite semidefinite.
    for floor in [Self.floor, 4 * Self.floor, 16 * Self.floor] {
      var factor = moments
      for i in 0..<n { factor[i * n + i] += Float(floor) }
      // The lower triangle by rows is the upper one by columns.
      let info = LAPACKE_spotrf_work(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "U")), Int32(n), &factor, Int32(n))
      guard info == 0 else { continue }
      content = .triangular(factor)
      count = n
      return
    }
    return nil
  }

  /// W applied to columns of length `count`: W · values.
  fileprivate func apply(toColumnsOf values: inout [Float], columns: Int) {
    switch content {
    case .triangular(let factor):
      cblas_strmm(
        CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, Int32(count), Int32(columns), 1, factor,
        Int32(count), &values, Int32(columns))
    case .diagonal(let roots):
      for i in 0..<count { for j in i * columns..<(i + 1) * columns { values[j] *= roots[i] } }
    }
  }

  /// W applied to each of `rows` rows of length `count`.
  fileprivate func apply(toRowsOf values: inout [Float], rows: Int) {
    switch content {
    case .triangular(let factor):
      cblas_strmm(
        CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, Int32(rows), Int32(count), 1, factor,
        Int32(count), &values, Int32(count))
    case .diagonal(let roots):
      for k in 0..<rows { for i in 0..<count { values[k * count + i] *= roots[i] } }
    }
  }

  /// Takes `rows` vectors back to what W made them of, as unit vectors; returns their norms.
  fileprivate func unapply(toRowsOf values: inout [Float], rows: Int) -> [Double] {
    switch content {
    case .triangular(let factor):
      cblas_strsm(
        CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, Int32(rows), Int32(count), 1, factor,
        Int32(count), &values, Int32(count))
    case .diagonal(let roots):
      for k in 0..<rows { for i in 0..<count { values[k * count + i] /= roots[i] } }
    }
    let count = count
    return values.withUnsafeMutableBufferPointer { values in
      (0..<rows).map { k in
        let run = k * count..<(k + 1) * count
        let norm = run.reduce(0.0) { $0 + Double(values[$1]) * Double(values[$1]) }.squareRoot()
        for i in run { values[i] = Float(Double(values[i]) / norm) }
        return norm
      }
    }
  }
}

extension SingularVectors {
  /// Of W_left · A · W_rightᵀ, taken back to A's own directions: the components that matter most come first, whatever their values;
  /// those of one side are unit vectors, but not orthogonal.
  ///
  /// - Parameters:
  ///   - left, right: of the rows and of the columns; nil weighs all alike.
  /// - Precondition: `rank` is in 1...min(rows, columns).
  /// - Throws: as `init(of:rank:)`.
  /// Memory: the matrix once more, in binary32.
  package init(
    of matrix: MatrixView, rank: Int, left: DirectionWeights?, right: DirectionWeights?
  ) throws(StorageError) {
    let (rows, columns) = (matrix.rows, matrix.columns)
    var weighted = Array(matrix.values)
    left?.apply(toColumnsOf: &weighted, columns: columns)
    right?.apply(toRowsOf: &weighted, rows: rows)
    let found = try weighted.withUnsafeBufferPointer { values throws(StorageError) in
      try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: rank)
    }
    var (lefts, rights, values) = (found.left, found.right, found.singularValues)
    func scale(by norms: [Double]?) { if let norms { for k in values.indices { values[k] *= norms[k] } } }
    scale(by: left?.unapply(toRowsOf: &lefts, rows: found.rank))
    scale(by: right?.unapply(toRowsOf: &rights, rows: found.rank))
    self.init(rows: rows, columns: columns, singularValues: values, left: lefts, right: rights)
  }
}
