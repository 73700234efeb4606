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
    BLAS.prepare()
    let lefts = left.map(Float.init)
    let rights = right.map(Float.init)
    func products(_ a: [Float], _ countA: Int, _ b: [Float], _ countB: Int, _ length: Int) -> [Float] {
      var c = [Float](repeating: 0, count: countA * countB)
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, Int32(countA), Int32(countB), Int32(length), 1, a, Int32(length), b,
        Int32(length), 0, &c, Int32(countB))
      return c
    }
    let r = vectors.rank
    let leftAlong = products(lefts, rank, vectors.left, r, rows)
    let rightAlong = products(rights, rank, vectors.right, r, columns)
    let leftGram = products(lefts, rank, lefts, rank, rows)
    let rightGram = products(rights, rank, rights, rank, columns)
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
