import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackReading
import TMPackTensorKit

extension Packer {
  /// Refuses TALL masks where there is nothing that they could be masks of: they need all experts, packed against the base.
  func checkTALLMasks() throws(StorageError) {
    guard rules.makesTALLMasks else { return }
    guard sharedRecord.name == .base else {
      throw StorageError(.invalidArgument, "TALL masks need the base as the shared model").with(.shareBase)
    }
    guard rate == nil else {
      throw StorageError(.invalidArgument, "TALL masks have no rate to control")
    }
  }

  /// Refuses TALL masks where each tensor of each expert is to be packed by itself.
  package func checkSharesNothing() throws(StorageError) {
    guard !rules.makesTALLMasks else {
      throw StorageError(
        .invalidArgument, "TALL masks share a vector among the experts, so their packing cannot be split")
    }
  }

  /// What `makers` say, but for the tensors that become TALL masks. Adds up the experts for those first, into scratch
  /// space, so that every expert gets the same bytes.
  func withTALLMasks(
    _ makers: [NamedFactorMaker], _ experts: [ExpertInput], base: (any TensorSource)?, _ path: String,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> [NamedFactorMaker] {
    guard rules.makesTALLMasks, let base else { return makers }
    meter.stage = "adding up the experts"
    let scratch = try ScratchFile(besides: path)
    let masks = TALLMaskMakers(
      rules: rules, vectors: try multiTaskVectors(of: experts, base: base, scratch, &meter))
    var result: [NamedFactorMaker] = []
    for make in makers {
      let masked: NamedFactorMaker = { name in masks.maker(of: name, otherwise: make) }
      result.append(masked)
    }
    return result
  }

  private func multiTaskVectors(
    of experts: [ExpertInput], base: any TensorSource, _ scratch: ScratchFile, _ meter: inout ProgressMeter
  ) throws(StorageError) -> [ExactString: SpilledFactor] {
    let sources = MergeSources(
      base: base, experts: experts.map { MergeSources.Expert(name: $0.name, source: $0.checkpoint.source) })
    let rules = rules
    let infos = base.tensors.filter { info in
      guard case .tallMask = rules.treatment(of: info.name) else { return false }
      return info.shape.matrix != nil
    }
    var vectors: [ExactString: SpilledFactor] = [:]
    try pipeline.run(infos.count) { index throws(StorageError) -> SpilledFactor? in
      let info = infos[index]
      return try located(tensor: info.name) { () throws(StorageError) in
        guard let group = try sources.group(for: info), try !group.equalsBase(),
          let vector = try TALLMaskPlan.vector(of: group)
        else { return nil }
        return try SpilledFactor(CodedFactor(.dense(vector)), or: scratch)
      }
    } consume: { index, vector in
      if let vector { vectors[ExactString(infos[index].name)] = vector }
      meter.advance(UInt64(infos[index].byteCount) * UInt64(experts.count))
    }
    return vectors
  }
}

/// The factor makers of tensors that become TALL masks.
private struct TALLMaskMakers: Sendable {
  package let rules: TensorRules
  /// By tensor name; without those that vanish.
  package let vectors: [ExactString: SpilledFactor]

  package func maker(of name: String, otherwise make: NamedFactorMaker) -> (any FactorMaker)? {
    guard case .tallMask(let plan) = rules.treatment(of: name) else { return make(name) }
    return TALLMaskFactors(plan: plan, vector: vectors[ExactString(name)])
  }
}

private struct TALLMaskFactors: FactorMaker {
  let plan: TALLMaskPlan
  /// nil where it vanishes.
  let vector: SpilledFactor?

  /// Elements are selected one by one.
  func stack(for _: ExclusiveTensor) -> MatrixStack? { nil }

  func factor(of own: borrowing ExclusiveVector, shape: Shape) throws(StorageError) -> Factor? {
    guard shape.matrix != nil else {
      return try FactorPlan(.dense, dtype: plan.dtype).encode(own.values, shape: shape)
    }
    guard case .quantized(.dense(let whole))? = try vector?.loaded() else { return nil }
    return try plan.factor(of: own.values, in: whole)?.decoded()
  }

  func factor(of tensor: ExclusiveTensor, as _: MatrixStack) throws(StorageError) -> Factor? {
    try factor(of: tensor.vector(), shape: tensor.shape)
  }
}
