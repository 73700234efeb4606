import TMPackCOpenBLAS

/// Products of dense row-major matrices in binary32, on one thread of BLAS: for training.
package enum MatrixProducts {
  /// left · rightᵀ, for left [rows, inner] and right [columns, inner].
  package static func timesTransposed(
    _ left: [Float], _ right: [Float], rows: Int, columns: Int, inner: Int
  ) -> [Float] {
    multiply(left, CblasNoTrans, right, CblasTrans, rows: rows, columns: columns, inner: inner)
  }

  /// left · right, for left [rows, inner] and right [inner, columns].
  package static func times(_ left: [Float], _ right: [Float], rows: Int, columns: Int, inner: Int) -> [Float] {
    multiply(left, CblasNoTrans, right, CblasNoTrans, rows: rows, columns: columns, inner: inner)
  }

  /// leftᵀ · right, for left [inner, rows] and right [inner, columns].
  package static func transposedTimes(
    _ left: [Float], _ right: [Float], rows: Int, columns: Int, inner: Int
  ) -> [Float] {
    multiply(left, CblasTrans, right, CblasNoTrans, rows: rows, columns: columns, inner: inner)
  }

  private static func multiply(
    _ left: [Float], _ leftOrder: CBLAS_TRANSPOSE, _ right: [Float], _ rightOrder: CBLAS_TRANSPOSE, rows: Int,
    columns: Int, inner: Int
  ) -> [Float] {
    precondition(left.count == rows * inner && right.count == columns * inner)
    BLAS.prepare()
    return [Float](unsafeUninitializedCapacity: rows * columns) { product, count in
      cblas_sgemm(
        CblasRowMajor, leftOrder, rightOrder, blasint(rows), blasint(columns), blasint(inner), 1, left,
        blasint(leftOrder == CblasNoTrans ? inner : rows), right,
        blasint(rightOrder == CblasNoTrans ? columns : inner), 0, product.baseAddress, blasint(columns))
      count = rows * columns
    }
  }
}
