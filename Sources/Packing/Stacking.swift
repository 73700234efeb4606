import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// Whether a tensor of more than two dimensions is taken as a stack of matrices, and which.
package enum Stacking: String, Sendable, Hashable {
  /// By what it costs.
  case automatic
  /// As a stack, whatever it costs.
  case stack
  /// As one matrix of [first dimension, rest].
  case matrix

  /// - Parameter suits: whether matrices of that shape, of a rank if it is known, are of use at all.
  package func stack(
    for tensor: ExclusiveTensor, where suits: (MatrixStack, _ knownRank: Int?) -> Bool = { _, _ in true }
  ) throws(StorageError) -> MatrixStack? {
    if case .stack(let stack, let products) = tensor.products {
      return suits(stack, products.compactMap { $0?.rank }.max()) ? stack : nil
    }
    if case .matrix = tensor.products { return nil }
    guard self != .matrix else { return nil }
    let candidates = StackCandidates(tensor.shape)
    guard let plain = candidates.plain, suits(plain, nil) else { return nil }
    return try StackSurvey(tensor).cheapest(of: candidates, isForced: self == .stack)
  }
}

/// The ways to see a tensor as matrices.
struct StackCandidates {
  /// [d₀, d₁, rest] as d₀ matrices of d₁ rows; nil where they would have too small a side.
  let plain: MatrixStack?
  /// Each of those as two: halves above each other, side by side, or row by row and column by column.
  let halves: [MatrixStack]

  /// A matrix with fewer rows or columns has no low rank that would be worth it.
  private static let leastSide = 8

  init(_ shape: Shape) {
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
