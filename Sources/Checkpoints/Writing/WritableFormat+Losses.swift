import TMPackTensorKit

extension WritableFormat {
  /// What of a source, beside its tensors, a file of this format does not keep, and what its readers will miss; a
  /// sentence each.
  package func losses(of source: some TensorSource) -> [String] {
    var losses = metadataLosses(source.typedMetadata)
    let ties = source.ties.keys.sorted()
    if self != .pytorch, !ties.isEmpty {
      losses.append("\(name) cannot tie tensors; written in full: \(Self.listed(ties))")
    }
    if self == .npy, let info = source.tensors.first {
      losses.append("\(name) has no place for the tensor's name, \(info.name)")
    }
    if self == .gguf {
      if source.typedMetadata[GGUFKey.architecture] == nil {
        losses.append("the file has no \(GGUFKey.architecture), which GGUF demands and nothing here tells")
      }
      let long = source.tensors.map(\.name).filter { $0.utf8.count > GGUFHeader.nameBytes }
      if !long.isEmpty {
        losses.append("ggml reads names of at most \(GGUFHeader.nameBytes) bytes; longer: \(Self.listed(long))")
      }
    }
    return losses
  }

  private func metadataLosses(_ metadata: TypedMetadata) -> [String] {
    switch self {
    case .gguf: return []
    case .safetensors: return metadata.lossesAsText(in: name)
    case .pytorch, .npz, .npy:
      let keys = SafetensorsFramework.unnamed(in: metadata).entries.map(\.key).sorted()
      return keys.isEmpty ? [] : ["\(name) has no place for metadata; left out: \(Self.listed(keys))"]
    }
  }

  private var name: String {
    switch self {
    case .pytorch: "PyTorch"
    case .gguf: "GGUF"
    case .safetensors, .npz, .npy: rawValue
    }
  }

  static func listed(_ names: [String]) -> String {
    names.prefix(4).joined(separator: ", ") + (names.count > 4 ? ", … (\(names.count))" : "")
  }
}

extension TypedMetadata {
  /// What is lost of the metadata where there is text only, a sentence each: arrays, and the types of numbers.
  ///
  /// - Parameter keeper: what keeps them then.
  package func lossesAsText(in keeper: String) -> [String] {
    var losses: [String] = []
    let arrays = entries.filter { $0.value.text == nil }.map(\.key).sorted()
    if !arrays.isEmpty {
      losses.append("\(keeper) has no place for metadata that are arrays; left out: \(WritableFormat.listed(arrays))")
    }
    let typed = entries.filter { !$0.value.isString && $0.value.text != nil }.map(\.key).sorted()
    if !typed.isEmpty {
      losses.append("\(keeper) keeps metadata as text only; numbers written so: \(WritableFormat.listed(typed))")
    }
    return losses
  }
}

extension MetadataValue {
  fileprivate var isString: Bool { if case .string = self { true } else { false } }
}
