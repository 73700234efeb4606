import TMPackByteIO
import TMPackFactorization
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

  /// What a stack may cost, of what one matrix does: those in doubt are convolutions.
  private static let advantage = 0.9

  /// - Parameter suits: whether matrices of that shape, of a rank if it is known, are of use at all.
  package func stack(
    for tensor: ExclusiveTensor, where suits: (MatrixStack, _ knownRank: Int?) -> Bool = { _, _ in true }
  ) throws(StorageError) -> MatrixStack? {
    if case .stack(let stack, let products) = tensor.products {
      return suits(stack, products.compactMap { $0?.rank }.max()) ? stack : nil
    }
    if case .matrix = tensor.products { return nil }
    guard self != .matrix else { return nil }
    guard let plain = StackCandidates(tensor.shape).plain, suits(plain, nil) else { return nil }
    return try StackSurvey(tensor.shape) { range throws(StorageError) in try tensor.elements(range) }
      .cheapest(costingBelow: self == .stack ? .infinity : Self.advantage)
  }
}
