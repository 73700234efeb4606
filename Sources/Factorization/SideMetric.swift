import ByteIO
import TensorKit

/// How much errors in each direction of one side of a matrix matter: a symmetric, positive definite W, known along a few
/// orthonormal directions bₖ and the same across all others: W = rest · (I − Σ bₖ bₖᵀ) + Σ gainₖ · bₖ bₖᵀ.
///
/// It is made of a covariance C as W = (C ÷ mean of its diagonal + 0.01)^¼: half of what would be right if errors of different
/// tensors did not add up, which measured best (Spec/decisions/0021).
package struct SideMetric: Sendable, Hashable {
  package let length: Int
  /// Unit vectors, one after another.
  package let directions: [Float]
  /// Of W along each direction; positive.
  package let gains: [Double]
  /// Of W across all of them; positive.
  package let rest: Double

  /// Directions that are kept of a covariance: more changed nothing.
  package static let mostDirections = 128
  /// Added to the covariance's eigenvalues, as a share of their mean: no direction is free.
  private static let floor = 0.01

  package init(length: Int, directions: [Float], gains: [Double], rest: Double) {
    precondition(directions.count == length * gains.count, "as many directions as gains")
    self.length = length
    self.directions = directions
    self.gains = gains
    self.rest = rest
  }

  /// The same in all directions.
  package init(evenOf length: Int) { self.init(length: length, directions: [], gains: [], rest: 1) }

  /// - Parameters:
  ///   - directions: unit vectors of `length`, orthogonal to each other, one after another.
  ///   - energies: C's eigenvalues along them.
  ///   - total: C's trace.
  /// - Returns: nil for a covariance of nothing, or one that is not finite.
  package init?(length: Int, directions: [Float], energies: [Double], total: Double) {
    precondition(directions.count == length * energies.count, "as many directions as energies")
    let mean = total / Double(length)
    guard mean.isNormal, mean > 0, energies.allSatisfy(\.isFinite), directions.allSatisfy(\.isFinite) else {
      return nil
    }
    func gain(_ energy: Double) -> Double { (max(0, energy) / mean + Self.floor).squareRoot().squareRoot() }
    let others = length - energies.count
    self.init(
      length: length, directions: directions, gains: energies.map(gain),
      rest: others > 0 ? gain((total - energies.reduce(0, +)) / Double(others)) : 1)
  }

  /// Of the covariance Σ xᵢ xᵢᵀ of vectors, and of others of which only the energy is known, which is taken to be spread evenly.
  ///
  /// - Parameters:
  ///   - vectors: of `length`, one after another; at least one.
  ///   - total: the trace of all.
  /// - Throws: as `SingularVectors` does.
  package init?(length: Int, vectors: [Float], total: Double) throws(StorageError) {
    let count = vectors.count / length
    let leading = try vectors.withUnsafeBufferPointer { values throws(StorageError) in
      try SingularVectors(
        of: MatrixView(values, rows: count, columns: length), rank: min(count, length, Self.mostDirections))
    }
    self.init(
      length: length, directions: leading.right, energies: leading.singularValues.map { $0 * $0 }, total: total)
  }

  /// Of a covariance as a matrix, row-major, symmetric and positive semi-definite.
  ///
  /// - Throws: as `SingularVectors` does.
  package init?(length: Int, covariance: [Float]) throws(StorageError) {
    precondition(covariance.count == length * length, "the covariance is square")
    let leading = try covariance.withUnsafeBufferPointer { values throws(StorageError) in
      try SingularVectors(
        of: MatrixView(values, rows: length, columns: length), rank: min(length, Self.mostDirections))
    }
    let total = (0..<length).reduce(0.0) { $0 + Double(covariance[$1 * (length + 1)]) }
    self.init(length: length, directions: leading.right, energies: leading.singularValues, total: total)
  }
}

/// The metrics of a matrix's two sides.
package struct MatrixMetric: Sendable, Hashable {
  /// Of the rows: one number for each.
  package let left: SideMetric
  /// Of the columns.
  package let right: SideMetric

  package init(left: SideMetric, right: SideMetric) {
    self.left = left
    self.right = right
  }
}

extension SideMetric {
  // Without directions W is the identity.

  /// W · M, or W⁻¹ · M, for M of `length` rows.
  ///
  /// - Complexity: O(directions · elements); holds M twice, and one row of it for each direction.
  func times(_ matrix: [Float], columns: Int, inverted: Bool = false) -> [Float] {
    let count = gains.count
    guard count > 0 else { return matrix }
    var along = MatrixProducts.times(directions, matrix, rows: count, columns: columns, inner: length)
    scale(&along, stride: columns, inverted)
    let changed = MatrixProducts.transposedTimes(directions, along, rows: length, columns: columns, inner: count)
    return added(changed, to: matrix, inverted)
  }

  /// M · W, or M · W⁻¹, for M of `length` columns.
  func times(rowsOf matrix: [Float], count rows: Int, inverted: Bool = false) -> [Float] {
    let count = gains.count
    guard count > 0 else { return matrix }
    // Transposed: a row for each direction.
    var along = MatrixProducts.timesTransposed(directions, matrix, rows: count, columns: rows, inner: length)
    scale(&along, stride: rows, inverted)
    let changed = MatrixProducts.transposedTimes(along, directions, rows: rows, columns: length, inner: count)
    return added(changed, to: matrix, inverted)
  }

  private func scale(_ rows: inout [Float], stride: Int, _ inverted: Bool) {
    for (k, gain) in gains.enumerated() {
      let factor = Float(inverted ? 1 / gain - 1 / rest : gain - rest)
      for i in k * stride..<(k + 1) * stride { rows[i] *= factor }
    }
  }

  private func added(_ changed: [Float], to matrix: [Float], _ inverted: Bool) -> [Float] {
    let factor = Float(inverted ? 1 / rest : rest)
    return [Float](unsafeUninitializedCapacity: matrix.count) { sum, initialized in
      for i in 0..<matrix.count { sum[i] = factor * matrix[i] + changed[i] }
      initialized = matrix.count
    }
  }
}
