import TMPackByteIO
import TMPackCLAPACKE
import TMPackCOpenBLAS

/// A matrix of float64, row-major, for algebra on whole tensors.
package struct DoubleMatrix: Sendable, Hashable {
  package let rows: Int
  package let columns: Int
  package var values: [Double]

  package init(_ values: [Double], rows: Int, columns: Int) {
    precondition(rows > 0 && columns > 0 && values.count == rows * columns, "the shape is that of the values")
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  package init(zerosOfRows rows: Int, columns: Int) {
    self.init([Double](repeating: 0, count: rows * columns), rows: rows, columns: columns)
  }

  package var shortSide: Int { min(rows, columns) }

  /// Throws `limitExceeded` for a matrix that LAPACK's integers or any patience would not be enough for.
  ///
  /// To be asked before the matrix is made.
  package static func checkDecomposable(rows: Int, columns: Int) throws(StorageError) {
    try Limits.check(max(rows, columns), atMost: Int32.max, "a side of a matrix to decompose")
    try Limits.check(min(rows, columns), atMost: Limits.decomposedSide, "the shorter side of a matrix to decompose")
  }

  /// The columns of `range`.
  package func columns(_ range: Range<Int>) -> DoubleMatrix {
    var part: [Double] = []
    part.reserveCapacity(rows * range.count)
    for i in 0..<rows { part += values[i * columns + range.lowerBound..<i * columns + range.upperBound] }
    return DoubleMatrix(part, rows: rows, columns: range.count)
  }

  /// The rows of `range`.
  package func rows(_ range: Range<Int>) -> DoubleMatrix {
    DoubleMatrix(
      Array(values[range.lowerBound * columns..<range.upperBound * columns]), rows: range.count, columns: columns)
  }

  /// Row i multiplied by `factors[i]`.
  package mutating func scaleRows(by factors: [Double]) {
    precondition(factors.count == rows)
    for i in 0..<rows {
      for j in i * columns..<(i + 1) * columns { values[j] *= factors[i] }
    }
  }

  /// Which factor of a product is transposed.
  package enum Transposed { case neither, first, second }

  /// Adds scale · a · b.
  ///
  /// - Precondition: no side is 2³¹ or more.
  package mutating func add(
    _ scale: Double = 1, _ a: DoubleMatrix, times b: DoubleMatrix, transposing transposed: Transposed = .neither
  ) {
    BLAS.prepare()
    let inner = transposed == .first ? a.rows : a.columns
    precondition(rows == (transposed == .first ? a.columns : a.rows), "as many rows as the first factor")
    precondition(columns == (transposed == .second ? b.rows : b.columns), "as many columns as the second factor")
    precondition(inner == (transposed == .second ? b.columns : b.rows), "the factors fit")
    cblas_dgemm(
      CblasRowMajor, transposed == .first ? CblasTrans : CblasNoTrans,
      transposed == .second ? CblasTrans : CblasNoTrans,
      Int32(rows), Int32(columns), Int32(inner), scale, a.values, Int32(a.columns), b.values, Int32(b.columns), 1,
      &values, Int32(columns))
  }

  /// a · b.
  package init(_ a: DoubleMatrix, times b: DoubleMatrix, transposing transposed: Transposed = .neither) {
    self.init(
      zerosOfRows: transposed == .first ? a.columns : a.rows, columns: transposed == .second ? b.rows : b.columns)
    add(1, a, times: b, transposing: transposed)
  }
}

extension Array<Double> {
  package var allFinite: Bool {
    withUnsafeBufferPointer { values in
      // Exponent bits of ones mean infinity or NaN; integers vectorise where comparisons of floats do not.
      var largest: UInt64 = 0
      for value in values { largest = Swift.max(largest, value.bitPattern & 0x7FFF_FFFF_FFFF_FFFF) }
      return largest < Double.infinity.bitPattern
    }
  }
}
