import TMPackTensorKit

/// The ways to see a tensor as matrices.
package struct StackCandidates {
  /// [d₀, d₁, rest] as d₀ matrices of d₁ rows; nil where they would have too small a side.
  package let plain: MatrixStack?
  /// Each of those as two: halves above each other, side by side, or row by row and column by column.
  package let halves: [MatrixStack]

  /// A matrix with fewer rows or columns has no low rank that would be worth it.
  private static let leastSide = 8

  package init(_ shape: Shape) {
    let d = shape.dimensions
    guard d.count >= 3, shape.elementCount > 0, d[0] >= 2 else {
      (plain, halves) = (nil, [])
      return
    }
    let (count, rows, columns) = (d[0], d[1], shape.elementCount / d[0] / d[1])
    func stack(_ dimensions: [Int]) -> MatrixStack? {
      guard let stack = MatrixStack(dimensions, of: shape.elementCount),
        min(stack.rows, stack.columns) >= Self.leastSide
      else { return nil }
      return stack
    }
    plain = stack([count, rows, 1, columns, 1])
    var halves: [MatrixStack?] = []
    if rows.isMultiple(of: 2) {
      halves += [stack([2 * count, rows / 2, 1, columns, 1]), stack([count, rows / 2, 2, columns, 1])]
    }
    if columns.isMultiple(of: 2) {
      halves += [stack([count, rows, 2, columns / 2, 1]), stack([count, rows, 1, columns / 2, 2])]
    }
    self.halves = halves.compactMap { $0 }
  }
}
