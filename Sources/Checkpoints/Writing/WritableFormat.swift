import TMPackByteIO
import TMPackTensorKit

/// A format that checkpoints are written in.
public enum WritableFormat: String, Sendable, CaseIterable {
  case safetensors
  /// What `torch.save` makes of a `state_dict`; `torch.load(weights_only=True)` reads it.
  case pytorch
  case npz
  /// A single array.
  case npy
  case gguf

  /// By what follows the last dot of a file's name.
  private static let suffixes: [String: WritableFormat] = [
    "safetensors": .safetensors, "bin": .pytorch, "pt": .pytorch, "pth": .pytorch, "ckpt": .pytorch, "npz": .npz,
    "npy": .npy, "gguf": .gguf,
  ]

  /// The format that a path's suffix means; nil for a folder's name.
  package init?(suffixOf path: String) {
    guard let format = WeightFileName.suffix(FileTree.lastComponent(path)).flatMap({ Self.suffixes[$0] }) else {
      return nil
    }
    self = format
  }

  /// How files in a folder are called: what `transformers` looks for, where it looks for the format at all.
  var fileName: (stem: String, suffix: String) {
    switch self {
    case .safetensors: ("model", ".safetensors")
    case .pytorch: ("pytorch_model", ".bin")
    case .npz: ("model", ".npz")
    case .npy: ("model", ".npy")
    case .gguf: ("model", ".gguf")
    }
  }

  /// Whether a model may be spread over files with an index beside them. llama.cpp splits GGUF files otherwise.
  var isSharded: Bool { self != .gguf }

  /// Lays out a file.
  ///
  /// - Parameters:
  ///   - tensors: of the source, some or all.
  ///   - source: gives metadata and ties; formats that cannot keep them leave them out and write every tensor.
  ///   - quantization: see `CheckpointDestination.quantization`.
  /// - Throws: `unsupportedFeature`, naming the tensor, for what the format cannot hold.
  func plan(
    _ tensors: [TensorInfo], of source: some TensorSource, quantization: GGUFQuantization?
  ) throws(StorageError) -> any CheckpointFilePlan {
    let ties = source.ties
    return switch self {
    case .safetensors:
      try SafetensorsHeader(describing: tensors, metadata: SafetensorsFramework.named(in: source.metadata))
    case .gguf:
      GGUFPlan(
        header: try GGUFHeader(planning: tensors, metadata: source.typedMetadata, quantizing: quantization?.type) {
          info throws(StorageError) in try source.stored(info)?.encoding
        }, quantization: quantization)
    case .pytorch:
      // As `save_pretrained` writes shards without it.
      try TorchPlan(
        tensors, ties: ties, metadata: tensors.count == source.tensors.count ? StateMetadata(of: source) : nil)
    case .npz: try NumPyArchivePlan(tensors)
    case .npy: try NumPyArrayPlan(tensors)
    }
  }
}
