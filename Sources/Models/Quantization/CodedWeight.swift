import TMPackTensorKit

/// One weight that a model keeps as codes: the tensors that together mean its numbers.
package struct CodedWeight: Sendable {
  package let scheme: QuantizationScheme
  /// What the weight is called as numbers.
  package let name: String
  package let codes: TensorInfo
  /// What belongs to the codes, by what it is to them.
  private let companions: [Companion: TensorInfo]

  /// What a tensor beside codes is to them.
  package enum Companion: Sendable, Hashable, CaseIterable {
    case scale
    /// What all scales of the tensor are multiplied by, or divided by: the scheme says which.
    case globalScale
    case zeroPoint
    /// What is added to a code times its scale.
    case bias
    /// What the inputs are multiplied by before the weight is, a number for each: the columns of the weight as numbers.
    case inputScale
    /// The group that each input belongs to.
    case groupIndex
    /// The shape of the numbers.
    case shape
    /// The number that each code stands for.
    case codebook
    /// Scales of the scales, and the numbers that those stand for.
    case nestedScale, nestedCodebook
    /// What else the library says, as JSON.
    case description
    /// Of the order of the codes.
    case layout
  }

  package init(
    _ scheme: QuantizationScheme, name: String, codes: TensorInfo, companions: [Companion: TensorInfo]
  ) {
    (self.scheme, self.name, self.codes, self.companions) = (scheme, name, codes, companions)
  }

  package subscript(companion: Companion) -> TensorInfo? { companions[companion] }

  /// All tensors of the weight.
  package var parts: [TensorInfo] { [codes] + Companion.allCases.compactMap { companions[$0] } }
}
