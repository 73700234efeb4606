import TMPackByteIO
import TMPackTensorKit

/// What of an expert has no partner in a model: tensors that no other is subtracted from, or merged with.
///
/// A partner has the name and the shape, or other rows, as a grown vocabulary has; so has a head that the model leaves
/// out because it is tied to its embeddings.
package struct UnmatchedParameters: Sendable {
  package let expert: String
  /// Of the expert.
  package let label: String
  package let tensorCount: Int
  /// Elements of all the expert's tensors.
  package let parameterCount: UInt64
  /// The expert's tensors without a partner, in the order of their names.
  package let tensors: [TensorInfo]
  /// The model's that are no expert tensor's partner.
  package let lonely: [TensorInfo]
  package let unmatchedCount: UInt64
  /// Whether most parameters of either side are alone: surely a mistake, since nothing would be shared. A few tensors by
  /// themselves may well be meant so.
  package let isMostOfBoth: Bool
  /// Bytes of `tensors`.
  package let byteCount: UInt64

  /// More is surely no head that the expert has of its own: `merge` refuses it, and packing says what it costs.
  package static let tolerated = 0.01
  private static let fewTensors = 8

  package init(of expert: any TensorSource, named name: String, in model: [TensorInfo]) {
    self.expert = name
    label = expert.label
    tensorCount = expert.tensors.count
    parameterCount = expert.tensors.reduce(0) { $0 + UInt64($1.shape.elementCount) }
    let ties = expert.ties
    tensors = expert.tensors.filter { info in
      !Self.hasPartner(info, in: model)
        && !(ties.tie(of: info.name).map { model.index(ofTensor: $0) != nil } ?? false)
    }
    lonely = model.filter { own in
      guard let index = expert.tensors.index(ofTensor: own.name) else { return true }
      return !Self.isPartner(expert.tensors[index], own)
    }
    unmatchedCount = tensors.reduce(0) { $0 + UInt64($1.shape.elementCount) }
    byteCount = tensors.reduce(0) { $0 + UInt64($1.byteCount) }
    let others = model.reduce(0) { $0 + UInt64($1.shape.elementCount) }
    let alone = lonely.reduce(0) { $0 + UInt64($1.shape.elementCount) }
    isMostOfBoth =
      tensors.count >= Self.fewTensors && unmatchedCount > parameterCount / 2 && alone > others / 2
  }

  /// Unmatched parameters over all.
  package var share: Double { parameterCount == 0 ? 0 : Double(unmatchedCount) / Double(parameterCount) }

  private static func hasPartner(_ info: TensorInfo, in model: [TensorInfo]) -> Bool {
    if let index = model.index(ofTensor: info.name) { return isPartner(info, model[index]) }
    guard tiedHeads.contains(where: { info.name == $0 || info.name.hasSuffix("." + $0) }) else { return false }
    return model.contains { $0.matches(info) && $0.name.hasSuffix(".weight") }
  }

  /// Whether the tensors differ in rows at most.
  private static func isPartner(_ info: TensorInfo, _ own: TensorInfo) -> Bool {
    guard info.dtype == own.dtype else { return false }
    let (a, b) = (info.shape.dimensions, own.shape.dimensions)
    return a == b || (a.count == b.count && !a.isEmpty && a.dropFirst() == b.dropFirst())
  }

  /// Weights that `transformers` leaves out of a file when they are the embeddings' (`_tied_weights_keys` of its models).
  private static let tiedHeads = [
    "lm_head.weight", "embed_out.weight", "predictions.decoder.weight", "lm_head.decoder.weight",
    "vocab_projector.weight", "decoder.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
    "proj_out.weight",
  ]
}

extension UnmatchedParameters {
  /// As an error: that so much has no partner, where, why, and what to do.
  package var error: StorageError {
    StorageError(
      .shapeMismatch, [summary, likelyCause].filter { !$0.isEmpty }.joined(separator: "; "), file: label,
      expert: expert)
  }

  /// How much, with the first names of either side.
  package var summary: String {
    var text =
      "\(tensors.count) of \(tensorCount) tensors, \(percentage) of the parameters, have no partner in the base"
    text += ": \(Self.listed(tensors))"
    if !lonely.isEmpty { text += "; the base has \(Self.listed(lonely))" }
    return text
  }

  private static func listed(_ tensors: [TensorInfo]) -> String {
    let some = tensors.prefix(2).map { "\($0.name) \($0.dtype.rawValue) \($0.shape)" }
    return some.joined(separator: ", ") + (tensors.count > some.count ? ", …" : "")
  }

  /// With one decimal, and never “0 %” or “100 %” of what is neither.
  private var percentage: String {
    let tenths = unmatchedCount == parameterCount ? 1000 : max(1, min(999, Int((share * 1000).rounded())))
    return tenths.isMultiple(of: 10) ? "\(tenths / 10) %" : "\(tenths / 10).\(tenths % 10) %"
  }

  /// Why, as far as names and shapes tell.
  package var likelyCause: String {
    guard let first = tensors.first else { return "" }
    if let index = lonely.index(ofTensor: first.name) {
      return lonely[index].shape == first.shape
        ? "the dtypes differ: convert one of them first, with convert --dtype"
        : "the shapes differ: it is another model, or of another base"
    }
    func areStacked(_ tensors: [TensorInfo]) -> Bool {
      tensors.contains { $0.name.contains("experts.") && $0.shape.dimensions.count == 3 }
    }
    if areStacked(tensors) != areStacked(lonely), (tensors + lonely).contains(where: { $0.name.contains("experts.") }) {
      return "one of them has the experts' matrices in stacks, the other each by itself"
    }
    if let (own, other) = prefixes {
      return
        "the names begin with \"\(own)\" here, with \"\(other)\" there; convert --rename '\(own)*=\(other)*' makes one of the other"
    }
    return
      "it is another model, or saved by a library or version that names tensors otherwise: convert --rename gives other names"
  }

  /// What stands in front of names that are the same otherwise, if there is one such pair of the first tensor's.
  private var prefixes: (own: String, other: String)? {
    guard let name = tensors.first?.name else { return nil }
    for start in [name.startIndex] + name.indices.filter({ name[$0] == "." }).map({ name.index(after: $0) }) {
      let end = name[start...]
      guard end.contains(".") else { return nil }
      let found = lonely.filter { $0.name == end || $0.name.hasSuffix("." + end) }
      if found.count == 1 { return (String(name[..<start]), String(found[0].name.dropLast(end.count))) }
    }
    return nil
  }
}
