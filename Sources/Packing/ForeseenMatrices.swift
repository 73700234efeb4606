/// Matrices of one shape.
package struct ForeseenMatrices: Sendable, Hashable {
  package let count: Int
  package let rows: Int
  package let columns: Int

  package var shortSide: Int { min(rows, columns) }

  /// Numbers of the left and right vectors of so many components of each, if they have as many.
  package func vectorLength(rank: Int) -> Double {
    Double(count) * Double(min(rank, shortSide)) * (Double(rows) + Double(columns))
  }
}
