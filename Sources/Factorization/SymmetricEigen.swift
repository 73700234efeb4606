import TMPackCLAPACKE

/// The dominant eigenpairs of symmetric matrices that are Gram matrices, in float64.
enum SymmetricEigen {
  /// The `count` largest eigenvalues, descending, and their unit eigenvectors, one after another.
  ///
  /// - Parameter matrix: n × n; its lower triangle by rows (upper by columns) is read, and all of it destroyed.
  /// - Complexity: O(n³); holds n² doubles and `count` + 26 vectors, or 4 n² doubles when `count` is above a tenth of n.
  package static func largest(
    _ count: Int, of matrix: inout [Double], order n: Int
  ) -> (values: [Double], vectors: [Double]) {
    precondition(count >= 1 && count <= n && matrix.count == n * n)
    // Bisection and inverse iteration for the few, divide and conquer for the many.
    if count <= n / 10, let pairs = selected(count, of: &matrix, order: n) { return pairs }
    return all(of: &matrix, order: n, keeping: count)
  }

  /// The `count` largest eigenvalues, descending.
  static func largestValues(_ count: Int, of matrix: [Double], order n: Int) -> [Double] {
    var copy = matrix
    var values = [Double](repeating: 0, count: n)
    let info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "N")), upper, Int32(n), &copy, Int32(n), &values)
    precondition(info == 0, "eigenvalues of a finite symmetric matrix converge")
    return values.suffix(count).reversed()
  }

  private static let upper = CChar(UInt8(ascii: "U"))
  private static let withVectors = CChar(UInt8(ascii: "V"))

  /// nil when inverse iteration fails, as it may for tight clusters.
  private static func selected(
    _ count: Int, of matrix: inout [Double], order n: Int
  ) -> (values: [Double], vectors: [Double])? {
    var found: Int32 = 0
    var values = [Double](repeating: 0, count: n)
    var z = [Double](repeating: 0, count: n * count)
    var support = [Int32](repeating: 0, count: 2 * count)
    let untouched = matrix
    let info = LAPACKE_dsyevr(
      LAPACK_COL_MAJOR, withVectors, CChar(UInt8(ascii: "I")), upper, Int32(n), &matrix, Int32(n), 0, 0,
      Int32(n - count + 1), Int32(n), 0, &found, &values, &z, Int32(n), &support)
    guard info == 0, found == count else {
      matrix = untouched
      return nil
    }
    return (values.prefix(count).reversed(), reversedVectors(z, count: count, order: n))
  }

  private static func all(
    of matrix: inout [Double], order n: Int, keeping count: Int
  ) -> (values: [Double], vectors: [Double]) {
    var values = [Double](repeating: 0, count: n)
    // Sizes given by the formula: the workspace query goes through a floating-point number.
    let workCount = 1 + 6 * n + 2 * n * n
    let integerCount = 3 + 5 * n
    var work = [Double](repeating: 0, count: workCount)
    var integers = [Int32](repeating: 0, count: integerCount)
    let info = LAPACKE_dsyevd_work(
      LAPACK_COL_MAJOR, withVectors, upper, Int32(n), &matrix, Int32(n), &values, &work, Int32(workCount), &integers,
      Int32(integerCount))
    precondition(info == 0, "eigenvalues of a finite symmetric matrix converge")
    return (
      values.suffix(count).reversed(), reversedVectors(matrix.suffix(n * count), count: count, order: n)
    )
  }

  /// LAPACK's order is ascending.
  private static func reversedVectors(_ vectors: some Sequence<Double>, count: Int, order n: Int) -> [Double] {
    let ascending = Array(vectors)
    var descending: [Double] = []
    descending.reserveCapacity(ascending.count)
    for k in (0..<count).reversed() { descending += ascending[k * n..<(k + 1) * n] }
    return descending
  }
}
