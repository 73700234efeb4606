import TMPackCLAPACKE

extension DoubleMatrix {
  /// A becomes A · S⁻¹, S symmetric and positive definite, by its Cholesky factor.
  ///
  /// - Parameter matrix: S; its lower triangle is read.
  /// - Returns: false, with nothing changed, when S is singular to working precision, or not positive definite.
  /// - Complexity: O(order³ + rows · order²); holds S twice.
  package mutating func divide(bySymmetric matrix: DoubleMatrix) -> Bool {
    precondition(matrix.rows == matrix.columns && matrix.rows == columns, "the factors fit")
    BLAS.prepare()
    let order = Int32(columns)
    // The lower triangle by rows is the upper one by columns.
    let upper = CChar(UInt8(ascii: "U"))
    var largest = 0.0
    for i in 0..<columns {
      var sum = 0.0
      for j in 0..<columns { sum += matrix.values[max(i, j) * columns + min(i, j)].magnitude }
      largest = max(largest, sum)
    }
    var factor = matrix.values
    guard LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, upper, order, &factor, order) == 0 else { return false }
    var reciprocalCondition = 0.0
    var work = [Double](repeating: 0, count: 3 * columns)
    var integers = [Int32](repeating: 0, count: columns)
    let info = LAPACKE_dpocon_work(
      LAPACK_COL_MAJOR, upper, order, factor, order, largest, &reciprocalCondition, &work, &integers)
    guard info == 0, reciprocalCondition > 0x1p-52 else { return false }
    // Row-major A is column-major Aᵀ, and S is its own transpose: S · Xᵀ = Aᵀ.
    return LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, upper, order, Int32(rows), factor, order, &values, order) == 0
  }
}
