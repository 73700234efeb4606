import TMPackByteIO
import TMPackFactorization
import TMPackTensorKit

/// What is done with a tensor of an expert that differs from the shared one.
package enum TensorTreatment: Sendable, Hashable {
  /// Approximated by a factor, if its dtype is float; kept exactly otherwise.
  case factor(FactorPlan)
  /// Approximated, if its dtype is float, by a quantised factor as the packer's rate control decides.
  case controlled
  /// Approximated, if its dtype is float, by a mask of the vector that all experts share.
  case tallMask(TALLMaskPlan)
  /// Kept bit for bit.
  case exact
}

/// Which treatment each tensor gets: a default, exceptions by pattern, and patterns of tensors that stay exact.
package struct TensorRules: Sendable {
  package let standard: TensorTreatment
  /// The last pattern that matches wins.
  package let overrides: [(pattern: Glob, treatment: TensorTreatment)]
  /// When there are any, tensors that match none of them are kept exactly.
  package let included: [Glob]
  /// Tensors that match one of them are kept exactly.
  package let excluded: [Glob]
  /// Of tensors of more than two dimensions; the last pattern that matches wins.
  package let stackings: [(pattern: Glob, stacking: Stacking)]
  /// Of tensors that are copies of another, before any pattern.
  var ofCopies: [ExactString: TensorTreatment] = [:]

  package init(
    _ standard: TensorTreatment, overrides: [(pattern: Glob, treatment: TensorTreatment)] = [], including: [Glob] = [],
    excluding: [Glob] = [], stacking: [(pattern: Glob, stacking: Stacking)] = []
  ) {
    stackings = stacking
    self.standard = standard
    self.overrides = overrides
    included = including
    excluded = excluding
  }

  package func treatment(of name: String) -> TensorTreatment { exception(for: name) ?? standard }

  /// Whether a tensor is taken as a stack of matrices.
  package func stacking(of name: String) -> Stacking {
    stackings.last { $0.pattern.matches(name) }?.stacking ?? .automatic
  }

  /// The matrices that a tensor will likely be taken as, by its shape and the rules alone: three dimensions are a layer's experts nearly
  /// always, more are a convolution. nil for what is no matrix.
  package func foreseenMatrices(of info: TensorInfo) -> ForeseenMatrices? {
    let shape = info.shape
    let isStack =
      switch stacking(of: info.name) {
      case .automatic: shape.dimensions.count == 3
      case .stack: true
      case .matrix: false
      }
    if isStack, let stack = StackCandidates(shape).plain {
      return ForeseenMatrices(count: stack.count, rows: stack.rows, columns: stack.columns)
    }
    return shape.matrix.map { ForeseenMatrices(count: 1, rows: $0.rows, columns: $0.columns) }
  }

  /// Whether some tensor may become a TALL mask.
  package var makesTALLMasks: Bool {
    ([standard] + overrides.map(\.treatment)).contains { if case .tallMask = $0 { true } else { false } }
  }

  /// Whether some tensor may be approximated by a factor that linear algebra finds.
  package var usesLinearAlgebra: Bool {
    ([standard] + overrides.map(\.treatment)).contains {
      switch $0 {
      case .factor, .controlled: true
      case .tallMask, .exact: false
      }
    }
  }

  /// The treatment of a tensor that a pattern decides on; nil for those that get the standard one.
  package func exception(for name: String) -> TensorTreatment? {
    if let treatment = ofCopies[ExactString(name)] { return treatment }
    if let override = overrides.last(where: { $0.pattern.matches(name) }) { return override.treatment }
    if excluded.contains(where: { $0.matches(name) }) { return .exact }
    if !included.isEmpty, !included.contains(where: { $0.matches(name) }) { return .exact }
    return nil
  }
}
