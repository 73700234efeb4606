import TMPackCLAPACKE
import TMPackCOpenBLAS
import TMPackFactors

/// A few long vectors, one after another: the rows of a wide matrix.
struct RowVectors {
  package var values: [Float]
  package private(set) var count: Int
  package let length: Int

  init(_ values: [Float], count: Int, length: Int) {
    precondition(count > 0 && count <= length && values.count == count * length)
    self.values = values
    self.count = count
    self.length = length
  }

  /// Calls `body` with the vectors as a `count` × `length` matrix.
  func withView<Result>(_ body: (MatrixView) -> Result) -> Result {
    values.withUnsafeBufferPointer { body(MatrixView($0, rows: count, columns: length)) }
  }

  /// Replaces the vectors by orthonormal ones with the same span.
  ///
  /// Cholesky QR in float64. Directions below 10⁻⁶ of the largest are rounding noise of float32 and are dropped, which
  /// leaves fewer vectors; they would not survive Householder reflections with any meaning either.
  /// - Parameter gram: their Gram matrix, if it is known already.
  /// - Complexity: O(count² · length); holds 2 count² + 384 · count doubles.
  mutating func orthonormalize(gram: [Double]? = nil) {
    var gram = gram ?? withView { $0.gram() }
    // What one round leaves of a bad condition, the next one removes; dropping noise costs a round more.
    for _ in 0..<3 {
      let condition = divideByCholeskyFactor(of: gram)
      if condition == nil { dropNoise(gram: gram) } else if condition! >= 1e-4 { return }
      gram = withView { $0.gram() }
    }
  }

  /// X becomes L⁻¹ X, where L Lᵀ is the Gram matrix.
  ///
  /// - Returns: the smallest part of a vector that is orthogonal to those before it, relative to its length. nil, with
  ///   nothing changed, when that is rounding noise.
  private mutating func divideByCholeskyFactor(of gram: [Double]) -> Double? {
    let order = Int32(count)
    var factor = gram
    // The lower triangle by rows is the upper one by columns.
    guard LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "U")), order, &factor, order) == 0 else {
      return nil
    }
    let smallest = (0..<count).map { factor[$0 * (count + 1)] / gram[$0 * (count + 1)].squareRoot() }.min()!
    guard smallest > 1e-6 else { return nil }
    let vectors = count
    let length = length
    values.withUnsafeMutableBufferPointer { values in
      MatrixView(UnsafeBufferPointer(values), rows: vectors, columns: length).forEachPanel { start, width, panel in
        cblas_dtrsm(
          CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, order, Int32(width), 1, factor, order,
          panel, Int32(width))
        for i in 0..<vectors {
          for j in 0..<width { values[i * length + start + j] = Float(panel[i * width + j]) }
        }
      }
    }
    return smallest
  }

  /// Keeps, as unit vectors, the principal directions that stand out of rounding noise.
  private mutating func dropNoise(gram: [Double]) {
    var gram = gram
    var (energies, mixing) = SymmetricEigen.largest(count, of: &gram, order: count)
    let kept = max(1, energies.prefix { $0 > 1e-12 * energies[0] }.count)
    mixing.removeLast((count - kept) * count)
    for k in 0..<kept {
      let factor = 1 / energies[k].squareRoot()
      for i in k * count..<(k + 1) * count { mixing[i] *= factor }
    }
    values = withView { $0.multiplied(by: mixing, count: kept).map(Float.init) }
    count = kept
  }
}
