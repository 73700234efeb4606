import TMPackByteIO
import TMPackFactors

extension SingularVectors {
  /// The `rank` leading singular triplets of `matrix`.
  ///
  /// The relative error ‖A − A_r‖ / ‖A‖ is within 10⁻⁴ of the best that the rank allows, and for large matrices within
  /// 0.02 % of it. Small and long matrices and high ranks go through the eigenvectors of the Gram matrix, others through
  /// a randomised range finder. The result is the same at every run and from any thread, but may differ in the last bits
  /// from one kind of processor to another.
  ///
  /// Fewer than `rank` triplets come back when the matrix has not that many above rounding noise (2⁻²² of the
  /// largest); there is always one, whose value is 0 for a matrix of zeros. The vectors are unit vectors;
  /// the left and the right ones are each orthogonal to about ε σ₁ / σₖ.
  ///
  /// - Precondition: `rank` is in 1...min(rows, columns).
  /// - Throws: `nonFinite` for an infinity or a NaN; `limitExceeded` for a side of 2³¹ or more, and when more than
  ///   half of the triplets of a matrix whose short side is above 16,384 are asked for.
  /// - Complexity: with s = min(rows, columns) and l = 2 · `rank` + 16. Gram: O(s · elements + s³), holds up to 5 s²
  ///   doubles. Range finder: O(l · elements) a pass, four to six passes mostly; holds 4 l (rows + columns) floats; and a
  ///   scaled copy, if the entries are all below 10⁻¹² or some above 10¹².
  package init(of matrix: MatrixView, rank: Int) throws(StorageError) {
    precondition(rank >= 1 && rank <= matrix.shortSide, "the rank is at most the shorter side")
    try Limits.check(matrix.longSide, atMost: Int32.max, "a side of a matrix to decompose")
    let largest = matrix.values.largestMagnitude
    guard largest.isFinite else {
      throw StorageError(.nonFinite, "a matrix with an infinity or a NaN has no singular values")
    }
    guard largest > 0 else {
      self.init(zeroOfRows: matrix.rows, columns: matrix.columns)
      return
    }
    if Self.takesGram(rows: matrix.rows, columns: matrix.columns, rank: rank) {
      try Limits.check(
        matrix.shortSide, atMost: Limits.decomposedSide, "the shorter side of a matrix to decompose at such a rank")
      self.init(gramOf: matrix, rank: rank)
    } else {
      self.init(rangeOf: matrix, rank: rank, largest: largest)
    }
  }

  /// Whether `init(of:rank:)` goes through the Gram matrix: where that is the faster route, by measurement.
  ///
  /// Its time hardly depends on the rank. The range finder's grows with it, and the more so the longer the matrix: it is
  /// the faster one up to a fifth of the side of a square, an eighth of the short side of one four times as long, and
  /// not at all from eight times on.
  package static func takesGram(rows: Int, columns: Int, rank: Int) -> Bool {
    let (s, longSide) = (min(rows, columns), max(rows, columns))
    return s <= 64 || rank >= s / 2 - 16 || (s <= 1024 && 35 * rank >= 8 * s - longSide)
  }

  /// Through the eigenvectors of A Aᵀ or AᵀA, whichever is smaller.
  ///
  /// In float64 even the square of float32's whole range fits. `init(of:rank:)` says what must hold.
  package init(gramOf matrix: MatrixView, rank: Int) {
    BLAS.prepare()
    var gram = matrix.gram()
    let vectors = SymmetricEigen.largest(rank, of: &gram, order: matrix.shortSide).vectors
    self.init(
      rows: matrix.rows, columns: matrix.columns, unitVectors: vectors, areLeft: matrix.rows <= matrix.columns,
      scaledVectors: matrix.multiplied(by: vectors, count: rank), scale: 1)
  }
}

extension MatrixView {
  /// The squares of all singular values, descending; those in the noise may be a little below 0.
  ///
  /// - Complexity: O(s · elements + s³) with s the short side, a fifth of what the vectors take too.
  package func squaredSingularValues() -> [Double] {
    BLAS.prepare()
    return SymmetricEigen.largestValues(shortSide, of: gram(), order: shortSide)
  }
}
