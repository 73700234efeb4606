import TMPackByteIO
import TMPackFactorization
import TMPackTensorKit

/// What of a tensor is a matrix, for methods that decompose and multiply them.
extension TensorGroup {
  /// What a stack may cost, of what one matrix of [first, rest] does. Much more than that, since three dimensions are a layer's experts
  /// nearly always, and the changes of full fine-tuning are of no low rank that would show it.
  private static let shareOfStacks = 2.0

  /// A matrix, and what of the tensor it is; nil for all.
  typealias Matrix = (group: TensorGroup, part: MatrixPart?)

  /// A tensor of two dimensions itself; the matrices of one of three dimensions that the sum of the task vectors shows to be a stack;
  /// nil for any other, such as a convolution.
  func matrices() throws(StorageError) -> [Matrix]? {
    switch info.shape.dimensions.count {
    case 2: return [(self, nil)]
    case 3:
      let survey = StackSurvey(info.shape) { range throws(StorageError) in try taskVectorSample(range) }
      return try survey.cheapest(costingBelow: Self.shareOfStacks).map { stack throws(StorageError) in
        try matrices(of: stack)
      }
    default: return nil
    }
  }

  func matrices(of stack: MatrixStack) throws(StorageError) -> [Matrix] {
    try (0..<stack.count).map { number throws(StorageError) in
      let part = MatrixPart(stack: stack, number: number)
      return (try matrix(part), part)
    }
  }

  private func matrix(_ part: MatrixPart) throws(StorageError) -> TensorGroup {
    TensorGroup(
      info: try info.ofMatrix(in: part.stack), format: format, base: try base.matrix(part),
      members: try members.map { member throws(StorageError) in
        Member(index: member.index, expert: member.expert, elements: try member.elements.matrix(part))
      })
  }

  /// Σ τₖ of some elements. What is not finite counts as 0 here: where it is decomposed it is refused.
  private func taskVectorSample(_ range: Range<Int>) throws(StorageError) -> [Float] {
    let origin = try base.elements(range)
    var sum = [Float](repeating: 0, count: range.count)
    for member in members {
      var own = try located(expert: member.name) { () throws(StorageError) in try member.elements.elements(range) }
      own.withUnsafeMutableBufferPointer { own in
        origin.withUnsafeBufferPointer { own.subtract(base: $0) }
      }
      for i in sum.indices { sum[i] += Float(own[i]) }
    }
    return sum.map { $0.isFinite ? $0 : 0 }
  }
}
