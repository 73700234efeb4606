import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// Which of a model's tensors become which of the network's.
struct TensorAssignment {
  private(set) var tensors: [RuntimeTensor] = []
  private(set) var notes: [String] = []

  private struct Target {
    let rule: TensorRule
    var sources: [(expert: Int?, info: TensorInfo)] = []
  }

  /// - Throws: `unsupportedFeature` for a tensor that the network has no place for; `malformed` where one is missing, or two would
  ///   be one; `shapeMismatch`.
  init(_ source: any TensorSource, _ network: Network, _ metadata: NetworkMetadata) throws(StorageError) {
    var targets: [ExactString: Target] = [:]
    var others: [String] = []
    for info in source.tensors {
      // Heads beside the model, which llama.cpp knows nothing of.
      if ComponentFile.name(inTensor: info.name) != nil {
        others.append(info.name)
        continue
      }
      let stem = network.stem(of: info.name)
      let rules = network.tensors.compactMap { rule in rule.source.numbers(in: stem).map { (rule, $0) } }
      guard !rules.isEmpty else {
        if network.otherParts.contains(where: { $0.numbers(in: stem) != nil }) {
          others.append(info.name)
        } else if !network.unused.contains(where: { $0.numbers(in: stem) != nil }) {
          throw Self.homeless(info, network)
        }
        continue
      }
      if stem == "lm_head.weight", Self.isTied(info, source.ties) { continue }
      for (rule, numbers) in rules {
        if let layer = numbers.layer, layer >= metadata.layerCount { throw Self.homeless(info, network) }
        let name = ExactString(rule.target.name(layer: numbers.layer))
        let isFirst = targets[name] == nil
        guard isFirst || (numbers.expert != nil && targets[name]?.rule.source == rule.source) else {
          throw StorageError(
            .malformed, "becomes \(name.text), as \(targets[name]!.sources[0].info.name) does", tensor: info.name)
        }
        targets[name, default: Target(rule: rule)].sources.append((numbers.expert, info))
      }
    }
    for (name, target) in targets {
      tensors.append(try Self.tensor(name.text, target.rule, target.sources, metadata))
    }
    let known = Set(targets.keys)
    for rule in network.tensors where !rule.isOptional {
      for layer in rule.target.hasLayer ? Array(0..<metadata.layerCount) : [0] {
        let name = rule.target.name(layer: layer)
        guard known.contains(ExactString(name)) else {
          throw StorageError(
            .malformed, "is missing, of which llama.cpp's \(network.name) makes \(name)", file: source.label,
            tensor: rule.source.name(layer: layer))
        }
      }
    }
    for (name, values) in metadata.tensors { tensors.append(try RuntimeTensor(name, values: values)) }
    if !others.isEmpty {
      let first = others.prefix(3).joined(separator: ", ")
      notes.append(
        "\(others.count) tensors that llama.cpp's \(network.name) has no part for are left out: \(first)\(others.count > 3 ? ", …" : "")"
      )
    }
  }

  private static func tensor(
    _ name: String, _ rule: TensorRule, _ sources: [(expert: Int?, info: TensorInfo)], _ metadata: NetworkMetadata
  ) throws(StorageError) -> RuntimeTensor {
    let heads = rule.change == .interleavedKeys ? metadata.keyHeadCount : metadata.headCount
    guard sources[0].expert != nil else {
      return try RuntimeTensor(name, of: [sources[0].info], rule.change, isStack: false, heads: heads)
    }
    let sorted = sources.sorted { ($0.expert ?? 0) < ($1.expert ?? 0) }
    guard sorted.map(\.expert) == (0..<(metadata.expertCount ?? 0)).map({ $0 }) else {
      throw StorageError(
        .malformed, "has \(sources.count) experts, config.json says \(metadata.expertCount ?? 0)",
        tensor: sorted[0].info.name)
    }
    return try RuntimeTensor(name, of: sorted.map(\.info), rule.change, isStack: true, heads: heads)
  }

  /// The name of either of two tensors that are one may be the first.
  private static func isTied(_ info: TensorInfo, _ ties: [String: String]) -> Bool {
    let embeddings = ["embed_tokens.weight", "wte.weight"]
    func isEmbedding(_ name: String) -> Bool { embeddings.contains { name.hasSuffix($0) } }
    if let other = ties.tie(of: info.name) { return isEmbedding(other) }
    return ties.contains { $0.value.hasSameBytes(as: info.name) && isEmbedding($0.key) }
  }

  private static func homeless(_ info: TensorInfo, _ network: Network) -> StorageError {
    StorageError(
      .unsupportedFeature,
      "has no place in llama.cpp's \(network.name)", tensor: info.name)
  }
}
