import TMPackByteIO
import TMPackCOpenBLAS

/// U · Vᵀ of A = U · diag(σ) · Vᵀ, the nearest matrix whose singular values are all 1, or 0 where they are rounding noise.
package struct PolarFactor: Sendable {
  /// nil for a matrix of zeros.
  package let factor: DoubleMatrix?
  /// Σ σₖ
  package let nuclearNorm: Double

  /// Of the smallest σ² that eigenvectors of a Gram matrix are trusted with, relative to the largest: they are off by
  /// 2⁻⁵² over this, which is below what float32 shows.
  fileprivate static let leastSquare = 1e-8

  /// Through the eigenvectors of the Gram matrix of the shorter side, which is several times faster than all singular
  /// vectors; through those where a σ is below 10⁻⁴ of the largest.
  ///
  /// - Throws: `nonFinite`; `limitExceeded` for a shorter side above `Limits.decomposedSide`.
  /// - Complexity: O(rows · columns · s + s³), s the shorter side; holds 2 (rows + columns) · s + 5 s² doubles at worst.
  package init(_ matrix: DoubleMatrix) throws(StorageError) {
    let isWide = matrix.rows <= matrix.columns
    let s = matrix.shortSide
    var gram = try matrix.gram().values
    let (values, vectors) = SymmetricEigen.largest(s, of: &gram, order: s)
    guard values[0] > 0, values[s - 1] > Self.leastSquare * values[0] else {
      let svd = try FullSVD(matrix)
      factor = svd.orthogonalFactor()
      nuclearNorm = svd.nuclearNorm
      return
    }
    nuclearNorm = values.reduce(0) { $0 + $1.squareRoot() }
    // G^(−½), from both of its halves.
    var half = DoubleMatrix(vectors, rows: s, columns: s)
    half.scaleRows(by: values.map { 1 / $0.squareRoot().squareRoot() })
    let inverseRoot = DoubleMatrix(half, times: half, transposing: .first)
    factor = isWide ? DoubleMatrix(inverseRoot, times: matrix) : DoubleMatrix(matrix, times: inverseRoot)
  }
}

extension FullSVD {
  /// The `count` leading triplets, or all that stand out of rounding noise when there are fewer.
  ///
  /// The few of many come from eigenvectors of a Gram matrix, as in `PolarFactor`.
  /// - Throws: as `init(_:)`.
  package init(leading count: Int, of matrix: DoubleMatrix) throws(StorageError) {
    let s = matrix.shortSide
    if count > 0, count <= s / 4 {
      var gram = try matrix.gram().values
      let (values, vectors) = SymmetricEigen.largest(count, of: &gram, order: s)
      if values[0] > 0, values[count - 1] > PolarFactor.leastSquare * values[0] {
        self.init(unitVectors: DoubleMatrix(vectors, rows: count, columns: s), of: matrix)
        return
      }
    }
    self = try FullSVD(matrix).leading(count)
  }

  /// From singular vectors of the shorter side, as rows.
  private init(unitVectors: DoubleMatrix, of matrix: DoubleMatrix) {
    let isWide = matrix.rows <= matrix.columns
    var others = DoubleMatrix(unitVectors, times: matrix, transposing: isWide ? .neither : .second)
    let norms = others.rowNorms()
    others.scaleRows(by: norms.map { 1 / $0 })
    self.init(
      shortSide: matrix.shortSide, left: (isWide ? unitVectors : others).transposed(), singularValues: norms,
      right: isWide ? others : unitVectors)
  }
}

extension DoubleMatrix {
  /// A Aᵀ or AᵀA, whichever is smaller.
  ///
  /// - Throws: `nonFinite`; `limitExceeded` for a shorter side above `Limits.decomposedSide`.
  fileprivate func gram() throws(StorageError) -> DoubleMatrix {
    BLAS.prepare()
    try Self.checkDecomposable(rows: rows, columns: columns)
    var gram = DoubleMatrix(zerosOfRows: shortSide, columns: shortSide)
    let isWide = rows <= columns
    cblas_dsyrk(
      CblasRowMajor, CblasLower, isWide ? CblasNoTrans : CblasTrans, Int32(shortSide), Int32(max(rows, columns)), 1,
      values, Int32(columns), 0, &gram.values, Int32(shortSide))
    for i in 0..<shortSide {
      for j in i + 1..<max(i + 1, shortSide) { gram.values[i * shortSide + j] = gram.values[j * shortSide + i] }
    }
    guard values.allFinite, gram.values.allFinite else {
      throw StorageError(.nonFinite, "a matrix with an infinity, a NaN or a square beyond float64 cannot be decomposed")
    }
    return gram
  }

  fileprivate func rowNorms() -> [Double] {
    values.withUnsafeBufferPointer { values in
      (0..<rows).map { cblas_dnrm2(Int32(columns), values.baseAddress! + $0 * columns, 1) }
    }
  }

  fileprivate func transposed() -> DoubleMatrix {
    var result = DoubleMatrix(zerosOfRows: columns, columns: rows)
    for i in 0..<rows {
      for j in 0..<columns { result.values[j * rows + i] = values[i * columns + j] }
    }
    return result
  }
}
