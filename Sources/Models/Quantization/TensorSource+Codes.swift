import TMPackByteIO
import TMPackTensorKit

extension TensorSource {
  /// Refuses a view of a model in which codes are without their scales, or scales without their codes: nobody could tell any more what they
  /// mean.
  ///
  /// - Parameters:
  ///   - whole: what this is a view of, of all or some tensors, maybe under other names.
  ///   - isSelection: whether the tensors keep their names, and those that are missing are not wanted.
  /// - Throws: `unsupportedFeature`, naming a weight that is kept as codes.
  package func checkCodes(asIn whole: any TensorSource, isSelection: Bool = false) throws(StorageError) {
    let wanted = CodedWeights(in: whole.tensors).weights.filter { weight in
      !isSelection || weight.parts.contains { tensor(named: $0.name) != nil }
    }
    let kept = CodedWeights(in: tensors).weights
    guard kept.count != wanted.count else { return }
    let names = Set(kept.map(\.name))
    guard let first = wanted.first(where: { !names.contains($0.name) }) ?? wanted.first else { return }
    throw StorageError(
      .unsupportedFeature,
      "is kept as codes (\(first.scheme.rawValue)), which would be parted from their scales: decode them first (convert --dtype), or take both",
      file: label, tensor: first.name)
  }
}
