import ByteIO
import TensorKit

extension SingularVectors {
  /// What triplets of a weighted matrix have more than others. A ≈ Σₖ amplitudeₖ · leftₖ · rightₖᵀ, with unit vectors that are not
  /// orthogonal to each other.
  package struct Weighting: Sendable, Hashable {
    /// σₖ · ‖W⁻¹ uₖ‖ of either side: the lengths with which the sides are quantised.
    package let leftLengths: [Double]
    package let rightLengths: [Double]
    package let amplitudes: [Double]

    package init(leftLengths: [Double], rightLengths: [Double], amplitudes: [Double]) {
      self.leftLengths = leftLengths
      self.rightLengths = rightLengths
      self.amplitudes = amplitudes
    }
  }

  /// The `rank` leading triplets σₖ uₖ vₖᵀ of Wₗ A Wᵣ, taken back: the sum of Wₗ⁻¹ σₖ uₖ vₖᵀ Wᵣ⁻¹ is the matrix of that rank
  /// that is nearest to A by the metric.
  ///
  /// What stands for singular values is how long both sides are in A's own units, in the order of the weighted ones. Where the weighted
  /// matrix is beyond binary32, and of a matrix of zeros, the triplets are the plain ones.
  /// - Throws, complexity: as `init(of:rank:)`; holds the matrix twice more.
  package init(of matrix: MatrixView, rank: Int, under metric: MatrixMetric?) throws(StorageError) {
    guard let metric, metric.left.length == matrix.rows, metric.right.length == matrix.columns else {
      try self.init(of: matrix, rank: rank)
      return
    }
    let (rows, columns) = (matrix.rows, matrix.columns)
    let weighted = metric.left.times(
      metric.right.times(rowsOf: Array(matrix.values), count: rows), columns: columns)
    guard weighted.allSatisfy({ $0.isFinite }), weighted.contains(where: { $0 != 0 }) else {
      try self.init(of: matrix, rank: rank)
      return
    }
    let plain = try weighted.withUnsafeBufferPointer { values throws(StorageError) in
      try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: rank)
    }
    var left = metric.left.times(rowsOf: plain.left, count: plain.rank, inverted: true)
    var right = metric.right.times(rowsOf: plain.right, count: plain.rank, inverted: true)
    var (leftLengths, rightLengths, amplitudes, strengths) = ([Double](), [Double](), [Double](), [Double]())
    for (k, value) in plain.singularValues.enumerated() {
      let (l, r) = (left.normalize(k, of: rows), right.normalize(k, of: columns))
      leftLengths.append(value * l)
      rightLengths.append(value * r)
      amplitudes.append(value * l * r)
      strengths.append(value * ((l * l + r * r) / 2).squareRoot())
    }
    guard strengths.allSatisfy({ $0.isFinite && $0 > 0 }), amplitudes.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      try self.init(of: matrix, rank: rank)
      return
    }
    self.init(
      rows: rows, columns: columns, singularValues: strengths, left: left, right: right,
      weighting: Weighting(leftLengths: leftLengths, rightLengths: rightLengths, amplitudes: amplitudes))
  }
}

extension [Float] {
  /// Makes the `k`th of vectors of one length a unit vector; returns how long it was.
  fileprivate mutating func normalize(_ k: Int, of length: Int) -> Double {
    let range = k * length..<(k + 1) * length
    let norm = self[range].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    guard norm > 0 else { return norm }
    for i in range { self[i] = Float(Double(self[i]) / norm) }
    return norm
  }
}
