import TMPackByteIO
import TMPackFactors

/// How much the directions along one side of a matrix matter: a power of their second moments, measured on data.
///
/// With W = (C ÷ mean of its diagonal + 0.01)^⅜ for the moments C, an approximation that is near in the norm of W loses little where
/// the data lie. The whole of C, W = C^½, would be the expected squared error; less of it is better for what a quantiser then does
/// (Spec/decisions/0027).
package struct DirectionWeights: Sendable {
  private let content: Content

  private enum Content: Sendable {
    /// W and its inverse, symmetric, row-major.
    case full(root: [Float], inverse: [Float])
    case diagonal(root: [Float], inverse: [Float])
  }

  package let count: Int

  /// Below this share of the mean directions count alike.
  private static let floor = 0.01

  private static func root(_ moment: Double) -> Double {
    // Roots alone, so that the bytes do not depend on a library's `pow`.
    let eighth = (max(moment, 0) + floor).squareRoot().squareRoot().squareRoot()
    return eighth * eighth * eighth
  }

  /// - Parameter moments: not negative, one for each row or column.
  /// - Returns: nil where all are 0.
  package init?(diagonal moments: [Double]) {
    let mean = moments.reduce(0, +) / Double(max(1, moments.count))
    guard mean > 0 else { return nil }
    let roots = moments.map { Self.root($0 / mean) }
    content = .diagonal(root: roots.map(Float.init), inverse: roots.map { Float(1 / $0) })
    count = moments.count
  }

  /// - Parameter moments: n × n, symmetric, of finite numbers, its diagonal not negative.
  /// - Returns: nil where the diagonal is all 0.
  /// - Complexity: O(n³); holds up to 5 n² doubles.
  package init?(moments: [Double], order n: Int) {
    precondition(moments.count == n * n)
    let mean = (0..<n).reduce(0) { $0 + moments[$1 * n + $1] } / Double(max(1, n))
    guard mean > 0 else { return nil }
    BLAS.prepare()
    var scaled = moments.map { $0 / mean }
    let (values, vectors) = SymmetricEigen.largest(n, of: &scaled, order: n)
    func matrix(_ weight: (Double) -> Double) -> [Float] {
      let rows = DoubleMatrix(vectors, rows: n, columns: n)
      var weighted = rows
      weighted.scaleRows(by: values.map { weight(Self.root($0)) })
      var product = DoubleMatrix(zerosOfRows: n, columns: n)
      product.add(1, rows, times: weighted, transposing: .first)
      return product.values.map(Float.init)
    }
    content = .full(root: matrix { $0 }, inverse: matrix { 1 / $0 })
    count = n
  }

  /// W_left · matrix · W_right.
  package static func weighted(
    _ matrix: [Float], rows: Int, columns: Int, _ left: DirectionWeights?, _ right: DirectionWeights?
  ) -> [Float] {
    var weighted = matrix
    if let left { weighted = left.applied(toColumns: weighted, columns: columns) }
    if let right { weighted = right.applied(to: weighted, rows: rows, inverted: false) }
    return weighted
  }

  /// Rows · W, or rows · W⁻¹, of `rows` rows.
  fileprivate func applied(to values: [Float], rows: Int, inverted: Bool) -> [Float] {
    switch content {
    case .full(let root, let inverse):
      return MatrixProducts.times(values, inverted ? inverse : root, rows: rows, columns: count, inner: count)
    case .diagonal(let root, let inverse):
      let factors = inverted ? inverse : root
      return values.indices.map { values[$0] * factors[$0 % count] }
    }
  }

  /// W · values, of `columns` columns.
  fileprivate func applied(toColumns values: [Float], columns: Int) -> [Float] {
    switch content {
    case .full(let root, _):
      return MatrixProducts.times(root, values, rows: count, columns: columns, inner: count)
    case .diagonal(let root, _):
      return values.indices.map { values[$0] * root[$0 / columns] }
    }
  }
}

extension SingularVectors {
  /// Of W_left · A · W_right, taken back to A's own directions: the components that matter most come first, whatever their values;
  /// those of one side are unit vectors, but not orthogonal.
  ///
  /// - Parameters:
  ///   - left, right: of the rows and of the columns; nil weighs all alike.
  /// - Precondition: `rank` is in 1...min(rows, columns).
  /// - Throws: as `init(of:rank:)`.
  /// Memory: the matrix once or twice more, in binary32.
  package init(
    of matrix: MatrixView, rank: Int, left: DirectionWeights?, right: DirectionWeights?
  ) throws(StorageError) {
    let (rows, columns) = (matrix.rows, matrix.columns)
    let weighted = DirectionWeights.weighted(Array(matrix.values), rows: rows, columns: columns, left, right)
    let found = try weighted.withUnsafeBufferPointer { values throws(StorageError) in
      try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: rank)
    }
    func back(_ vectors: [Float], _ weights: DirectionWeights?) -> (vectors: [Float], norms: [Double]) {
      guard let weights else { return (vectors, [Double](repeating: 1, count: found.rank)) }
      var own = weights.applied(to: vectors, rows: found.rank, inverted: true)
      let norms = own.withUnsafeMutableBufferPointer { own in
        (0..<found.rank).map { k in
          let run = k * weights.count..<(k + 1) * weights.count
          let norm = run.reduce(0.0) { $0 + Double(own[$1]) * Double(own[$1]) }.squareRoot()
          for i in run { own[i] = Float(Double(own[i]) / norm) }
          return norm
        }
      }
      return (own, norms)
    }
    let (lefts, rights) = (back(found.left, left), back(found.right, right))
    self.init(
      rows: rows, columns: columns,
      singularValues: found.singularValues.indices.map {
        found.singularValues[$0] * lefts.norms[$0] * rights.norms[$0]
      }, left: lefts.vectors, right: rights.vectors)
  }
}
