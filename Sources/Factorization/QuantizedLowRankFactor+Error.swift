import TMPackCOpenBLAS
import TMPackFactors

extension QuantizedLowRankFactor {
  /// ‖A − decoded‖² for the matrix of these triplets and whatever is orthogonal to them.
  ///
  /// Exact, but for rounding, where the triplets are all that the matrix has. The part of it that they leave out is taken to be
  /// orthogonal to what is decoded, which it nearly is.
  /// - Parameter energy: ‖A‖².
  /// - Complexity: O(rank · (rank + vectors.rank) · (rows + columns)).
  package func squaredError(against vectors: SingularVectors, energy: Double) -> Double {
    let lefts = left.map(Float.init)
    let rights = right.map(Float.init)
    let r = vectors.rank
    let leftAlong = MatrixProducts.timesTransposed(lefts, vectors.left, rows: rank, columns: r, inner: rows)
    let rightAlong = MatrixProducts.timesTransposed(rights, vectors.right, rows: rank, columns: r, inner: columns)
    let leftGram = MatrixProducts.timesTransposed(lefts, lefts, rows: rank, columns: rank, inner: rows)
    let rightGram = MatrixProducts.timesTransposed(rights, rights, rows: rank, columns: rank, inner: columns)
    var error = energy
    for k in 0..<rank {
      let scale = Double(scales[k])
      var along = 0.0
      for j in 0..<r {
        along += Double(leftAlong[k * r + j]) * vectors.singularValues[j] * Double(rightAlong[k * r + j])
      }
      var square = 0.0
      for l in 0..<rank {
        square += Double(leftGram[k * rank + l]) * Double(rightGram[k * rank + l]) * Double(scales[l])
      }
      error += scale * (square - 2 * along)
    }
    return max(0, error)
  }
}
