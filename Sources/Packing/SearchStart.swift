import TMPackTensorKit

/// How many triplets of a matrix to compute before a search of a rate has looked at any.
package struct SearchStart: Sendable {
  /// No more than so many.
  private let limit: Int
  /// The share of a matrix's energy that the search will surely leave to the rest; nil where nobody knows.
  private let rest: Double?
  /// How many the matrices of a stack took so far, with some to spare.
  private var expected: Int?

  /// All triplets of a matrix with a side of this many cost little more than some.
  private static let smallSide = 512
  private static let firstTriplets = 64

  package init(atMost limit: Int, leaving rest: Double?) {
    self.limit = limit
    self.rest = rest
  }

  /// Of a large matrix the first ones only, and of one of many as many as those before it took.
  func rank(of shape: Shape) -> Int {
    let side = shape.matrix.map { min($0.rows, $0.columns) } ?? 1
    let first = min(side <= Self.smallSide ? side : Self.firstTriplets, limit)
    return expected.map { min(QuantizableMatrix.rank($0, of: side), first) } ?? first
  }

  /// As it was before any matrix.
  var forgetful: SearchStart { SearchStart(atMost: limit, leaving: rest) }

  func isShortened(for shape: Shape) -> Bool { rank(of: shape) < forgetful.rank(of: shape) }

  /// - Returns: whether the matrix has the triplets that it takes.
  @discardableResult mutating func learns(from matrix: QuantizableMatrix) -> Bool {
    guard let rest, let vectors = matrix.vectors else { return true }
    var missing = matrix.energy
    for (index, value) in vectors.singularValues.enumerated() {
      missing -= value * value
      guard missing <= rest * matrix.energy else { continue }
      expected = max(expected ?? 0, (index + 1) * 5 / 4 + 4)
      return true
    }
    return false
  }
}
