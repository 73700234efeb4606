import TMPackByteIO
import TMPackModels
import TMPackTensorKit

/// What is merged.
package struct MergeSources: Sendable {
  /// A fine-tuned model under its name.
  package struct Expert: Sendable {
    package let name: String
    package let source: any TensorSource
    /// What was measured of the expert on data, for the methods that ask for it: tensors of the names of its own.
    package let statistics: (any TensorSource)?

    package init(name: String, source: any TensorSource, statistics: (any TensorSource)? = nil) {
      self.name = name
      self.source = source
      self.statistics = statistics
    }
  }

  package let base: any TensorSource
  /// In declaration order.
  package let experts: [Expert]
  /// Of the whole base, also where only some of its tensors are merged.
  package let layers: LayerPositions
  /// Tensors that are equal to another in all models, which they are merged as.
  var leaders: [ExactString: TensorInfo] = [:]

  package init(base: any TensorSource, experts: [Expert]) {
    self.base = base
    self.experts = experts
    layers = LayerPositions(names: base.tensors.map(\.name))
  }

  /// The same models, of which only some tensors are merged.
  init(of whole: MergeSources, where predicate: (TensorInfo) -> Bool) {
    base = TensorSelection(of: whole.base, where: predicate)
    experts = whole.experts
    layers = whole.layers
    leaders = whole.leaders
  }

  /// The base's tensor with the experts' of the same dtype and shape; nil when it is not of a float dtype, has no
  /// element, or no expert holds it: such a tensor is the base's in every merged model.
  package func group(for info: TensorInfo) throws(StorageError) -> TensorGroup? {
    guard let format = info.dtype.floatFormat, info.shape.elementCount > 0 else { return nil }
    var members: [TensorGroup.Member] = []
    for (index, expert) in experts.enumerated() {
      guard let own = expert.source.tensor(named: info.name), own.matches(info) else { continue }
      members.append(TensorGroup.Member(index: index, expert: expert, elements: StoredElements(own, of: expert.source)))
    }
    guard !members.isEmpty else { return nil }
    return TensorGroup(info: info, format: format, base: StoredElements(info, of: base), members: members)
  }
}

extension MergeSources {
  /// Refuses experts that share nothing with the base: they would count for nothing, surely a mistake.
  ///
  /// - Parameter allowingUnmatched: whether experts may count for nothing in more than one of a hundred of their parameters.
  /// - Throws: `shapeMismatch`, naming the first tensors that differ.
  package func checkArchitectures(allowingUnmatched: Bool = false) throws(StorageError) {
    for expert in experts {
      try expert.source.checkArchitecture(as: expert.name, against: base.tensors)
      let unmatched = UnmatchedParameters(of: expert.source, named: expert.name, in: base.tensors)
      if unmatched.share > UnmatchedParameters.tolerated, !allowingUnmatched {
        throw unmatched.error.with(.allowUnmatched)
      }
    }
  }

  /// Refuses models that keep weights as codes: those are no numbers, whose sums mean nothing. Matrices of small integers that are
  /// called weights and differ are codes of a scheme that nobody knows.
  package func refuseCodes() throws(StorageError) {
    try Quantization(of: base).refuse("merged")
    for expert in experts {
      try located(expert: expert.name) { () throws(StorageError) in
        try Quantization(of: expert.source).refuse("merged")
        for weight in base.tensors
        where weight.dtype.floatFormat == nil && weight.dtype.mayBeCodes && weight.shape.dimensions.count >= 2
          && weight.name.hasSuffix("weight")
        {
          guard try expert.differs(from: base, in: weight) else { continue }
          throw StorageError(
            .unsupportedFeature,
            "is \(weight.dtype.rawValue) and differs from the base's: codes of a scheme that is not known, which cannot be merged",
            file: expert.source.label, tensor: weight.name)
        }
      }
    }
  }

  /// What a person should know of what is merged: tensors that an expert lacks or has otherwise, or has alone.
  package var notes: [String] {
    experts.flatMap { expert in
      let floats = base.tensors.filter { $0.dtype.floatFormat != nil }
      let other = floats.filter { info in
        if let own = expert.source.tensor(named: info.name) { return !own.matches(info) }
        // A copy of a tied tensor, which is merged as the other one.
        return (try? base.twin(of: info) { expert.source.tensor(named: $0.name)?.matches($0) == true }) == nil
      }
      let alone = expert.source.tensors.filter { info in
        guard base.tensor(named: info.name) == nil else { return false }
        // The same, of the expert's.
        return (try? expert.source.twin(of: info) { base.tensor(named: $0.name)?.matches($0) == true }) == nil
      }
      var notes: [String] = []
      if let first = other.first {
        notes.append(
          "\(expert.name) is left out for \(other.count) of the base's \(floats.count) tensors, which it lacks or has in another shape or dtype: \(Self.listed(other, first))"
        )
      }
      let differing = integersThatDiffer(from: expert)
      if let first = differing.first {
        notes.append(
          "\(differing.count) tensors of \(expert.name) that are no floats differ from the base's, which are kept: \(Self.listed(differing, first))"
        )
      }
      if let first = alone.first {
        notes.append(
          "\(alone.count) tensors of \(expert.name) that the base lacks are left out: \(Self.listed(alone, first))")
      }
      return notes
    }
  }

  /// Tensors of the base that hold no floats, and other values in an expert's. Counters of batches count for nothing in a merged model.
  private func integersThatDiffer(from expert: Expert) -> [TensorInfo] {
    base.tensors.filter { info in
      info.dtype.floatFormat == nil && !info.name.hasSuffix("num_batches_tracked")
        && (try? expert.differs(from: base, in: info)) == true
    }
  }

  private static func listed(_ tensors: [TensorInfo], _ first: TensorInfo) -> String {
    tensors.count == 1 ? first.name : "\(first.name), …"
  }
}

extension TensorSource {
  /// Refuses an expert that has none of the model's weights, naming the first of them.
  package func checkArchitecture(as expert: String, against model: [TensorInfo]) throws(StorageError) {
    // Tensors of positions and the like say nothing: models of any dtype have them in common.
    let floats = model.filter { $0.dtype.floatFormat != nil }
    let weights = floats.isEmpty ? model : floats
    guard let first = weights.first, !tensors.isEmpty else { return }
    if weights.contains(where: { tensor(named: $0.name)?.matches($0) == true }) { return }
    let own = tensor(named: first.name)
    if let own, own.shape == first.shape {
      throw StorageError(
        .shapeMismatch,
        "is of another dtype, \(own.dtype.rawValue) where the shared model is \(first.dtype.rawValue)",
        file: label, expert: expert, tensor: first.name
      ).with(.convertDType)
    }
    let found = own.map { "\($0.dtype.rawValue) \($0.shape)" } ?? "absent"
    throw StorageError(
      .shapeMismatch,
      "is of another architecture: no tensor agrees with the shared model's; the first, \(first.dtype.rawValue) \(first.shape), is \(found) here",
      file: label, expert: expert, tensor: first.name)
  }
}

extension MergeSources.Expert {
  /// Whether it has the tensor, of the same dtype and shape, with other bytes.
  fileprivate func differs(from base: any TensorSource, in info: TensorInfo) throws(StorageError) -> Bool {
    guard let own = source.tensor(named: info.name), own.matches(info) else { return false }
    return try !base.bytes(of: info).hasSameBytes(as: source.bytes(of: own))
  }
}
