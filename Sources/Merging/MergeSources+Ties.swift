import TMPackByteIO
import TMPackModels
import TMPackTensorKit

extension MergeSources {
  /// The same models with their tied weights made one: what is equal in all of them is equal in what is merged.
  ///
  /// 1. A tensor that the base has twice, and an expert once, as files with and without a copy of the output layer have it, is
  ///    that expert's too under both names.
  /// 2. Tensors that are equal in the base and in every expert are merged as the first of them, so that methods that draw random
  ///    numbers, or know where in the model a tensor is, keep them equal.
  ///
  /// Of tensors of one shape and dtype the beginnings are read, and all where these agree.
  func withTies() throws(StorageError) -> MergeSources {
    var experts: [Expert] = []
    for expert in self.experts {
      var aliases: [String: TensorInfo] = [:]
      for info in base.tensors where info.shape.elementCount > 0 && expert.source.tensor(named: info.name) == nil {
        let twin = try base.twin(of: info) { expert.source.tensor(named: $0.name)?.shape == $0.shape }
        if let twin { aliases[info.name] = expert.source.tensor(named: twin.name)! }
      }
      let source = aliases.isEmpty ? expert.source : try AliasedSource(expert.source, aliases: aliases)
      experts.append(Expert(name: expert.name, source: source, statistics: expert.statistics))
    }
    var sources = MergeSources(base: base, experts: experts)
    sources.leaders = try sources.equalEverywhere()
    return sources
  }

  /// Tensors that another one is equal to in every model, with the first such.
  private func equalEverywhere() throws(StorageError) -> [ExactString: TensorInfo] {
    struct Kind: Hashable {
      let dtype: DType
      let shape: Shape
      let beginning: [UInt8]
    }
    var firsts: [Kind: [TensorInfo]] = [:]
    var leaders: [ExactString: TensorInfo] = [:]
    for info in base.tensors where info.dtype.floatFormat != nil && info.shape.dimensions.count >= 2 {
      let range = 0..<min(info.byteCount, 256)
      // Where a piece costs as much as the whole, ties are those that the files name.
      guard let beginning = try base.piece(range, of: info) else { continue }
      let kind = Kind(dtype: info.dtype, shape: info.shape, beginning: beginning)
      var leader: TensorInfo?
      for first in firsts[kind] ?? [] where leader == nil {
        if try isEqualEverywhere(first, info) { leader = first }
      }
      if let leader { leaders[ExactString(info.name)] = leader } else { firsts[kind, default: []].append(info) }
    }
    for (tied, first) in base.ties where leaders[ExactString(tied)] == nil {
      guard let info = base.tensor(named: tied), let other = base.tensor(named: first) else { continue }
      if try isEqualEverywhere(other, info) { leaders[ExactString(tied)] = other }
    }
    return leaders
  }

  private func isEqualEverywhere(_ first: TensorInfo, _ second: TensorInfo) throws(StorageError) -> Bool {
    guard try base.areEqual(first, second) else { return false }
    for expert in experts {
      let (one, other) = (expert.source.tensor(named: first.name), expert.source.tensor(named: second.name))
      guard let one, let other else {
        if one == nil, other == nil { continue }
        return false
      }
      guard try expert.source.areEqual(one, other) else { return false }
    }
    return true
  }
}
