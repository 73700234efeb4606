import ByteIO
import TensorKit

/// A format that checkpoints are written in.
public enum WritableFormat: String, Sendable, CaseIterable {
  case safetensors
  /// What `torch.save` makes of a `state_dict`; `torch.load(weights_only=True)` reads it.
  case pytorch
  case npz
  /// A single array.
  case npy

  /// By what follows the last dot of a file's name.
  private static let suffixes: [String: WritableFormat] = [
    "safetensors": .safetensors, "bin": .pytorch, "pt": .pytorch, "pth": .pytorch, "ckpt": .pytorch, "npz": .npz,
    "npy": .npy,
  ]

  /// The format that a path's suffix means; nil for a folder's name.
  init?(suffixOf path: String) {
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
    }
  }

  /// Lays out a file.
  ///
  /// - Parameter ties: see `TensorSource.ties`; formats that cannot keep them write every tensor.
  /// - Throws: `unsupportedFeature`, naming the tensor, for what the format cannot hold.
  func plan(
    _ tensors: [TensorInfo], metadata: [String: String], ties: [String: String]
  ) throws(StorageError) -> any CheckpointFilePlan {
    switch self {
    case .safetensors: try SafetensorsHeader(describing: tensors, metadata: metadata)
    case .pytorch: try TorchPlan(tensors, ties: ties)
    case .npz: try NumPyArchivePlan(tensors)
    case .npy: try NumPyArrayPlan(tensors)
    }
  }

  /// What of a source, beside its tensors, a file of this format does not keep; a sentence each.
  public func losses(of source: some TensorSource) -> [String] {
    var losses: [String] = []
    // Which tool wrote a safetensors file says nothing of the tensors.
    let metadata = source.metadata.keys.filter { $0 != "format" }.sorted()
    if self != .safetensors, !metadata.isEmpty {
      losses.append("\(name) has no place for metadata; left out: \(Self.listed(metadata))")
    }
    let ties = source.ties.keys.sorted()
    if self != .pytorch, !ties.isEmpty {
      losses.append("\(name) cannot tie tensors; written in full: \(Self.listed(ties))")
    }
    if self == .npy, let info = source.tensors.first {
      losses.append("\(name) has no place for the tensor's name, \(info.name)")
    }
    return losses
  }

  private var name: String { self == .pytorch ? "PyTorch" : rawValue }

  private static func listed(_ names: [String]) -> String {
    names.prefix(4).joined(separator: ", ") + (names.count > 4 ? ", … (\(names.count))" : "")
  }
}
