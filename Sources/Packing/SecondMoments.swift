import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// Second moments as a file of statistics has them: a symmetric matrix by rows, or its diagonal alone
/// (`Spec/merging-statistics.md`). In binary32.
struct SecondMoments {
  private let order: Int
  private let values: [Float]
  let diagonal: [Float]
  private let file: String

  /// - Parameter raw: of `order` elements for a diagonal, of their square for a matrix.
  /// - Throws: `nonFinite` for what binary32 cannot hold; `malformed` for a mean of squares below 0.
  init(
    _ raw: UnsafeRawBufferPointer, _ format: FloatFormat, order: Int, isDiagonal: Bool, of file: String
  ) throws(StorageError) {
    let count = isDiagonal ? order : order * order
    let values = [Float](unsafeUninitializedCapacity: count) { values, initialized in
      format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      initialized = count
    }
    guard values.withUnsafeBufferPointer({ $0.largestMagnitude }).isFinite else {
      throw StorageError(.nonFinite, "holds a number that no moment can be", file: file)
    }
    diagonal = isDiagonal ? values : (0..<order).map { values[$0 * (order + 1)] }
    guard diagonal.allSatisfy({ $0 >= 0 }) else {
      throw StorageError(.malformed, "has a mean of squares below 0", file: file)
    }
    (self.order, self.values, self.file) = (order, values, file)
  }

  /// Relative to the largest mean of squares: what rounding to few digits does.
  private static let tolerance: Float = 1e-3

  /// The matrix ÷ the mean of its diagonal; nil where that is 0.
  ///
  /// - Throws: `malformed` for what is not symmetric, or larger than its diagonal allows.
  func relative() throws(StorageError) -> [Float]? {
    let largest = diagonal.max() ?? 0
    guard values.withUnsafeBufferPointer({ $0.largestMagnitude }) <= largest * (1 + Self.tolerance) else {
      throw StorageError(.malformed, "has a mean of products above any mean of squares", file: file)
    }
    guard isSymmetric(within: Self.tolerance * largest) else {
      throw StorageError(.malformed, "is not symmetric", file: file)
    }
    let mean = diagonal.reduce(0.0) { $0 + Double($1) } / Double(order)
    let factor = Float(1 / mean)
    // Below what binary32 can take the reciprocal of is nothing.
    guard mean > 0, factor.isFinite else { return nil }
    return values.map { $0 * factor }
  }

  /// By tiles, so that both triangles are read along rows.
  private func isSymmetric(within tolerance: Float) -> Bool {
    let (n, tile) = (order, 32)
    return values.withUnsafeBufferPointer { matrix in
      for top in stride(from: 0, to: n, by: tile) {
        for left in stride(from: 0, through: top, by: tile) {
          for i in top..<min(top + tile, n) {
            for j in left..<min(left + tile, n) where (matrix[i * n + j] - matrix[j * n + i]).magnitude > tolerance {
              return false
            }
          }
        }
      }
      return true
    }
  }
}
