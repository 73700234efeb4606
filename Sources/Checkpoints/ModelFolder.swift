import ByteIO
import TensorKit

/// A folder as model hubs and `transformers` keep them: weights, whole or in shards, and the small files that belong
/// to them.
///
/// Which weights:
/// 1. `model.safetensors`, or the shards of `model.safetensors.index.json`; both only if the index means that file.
/// 2. Otherwise the only index of shards of another name, as in `diffusion_pytorch_model.safetensors.index.json`.
/// 3. Otherwise the only safetensors file of another name.
/// 4. Otherwise the same for PyTorch (`pytorch_model.bin`; the state of a training beside it does not count), and
///    then for NumPy (`model.npz`).
///
/// A choice that two files would do for is an error rather than a guess. An adapter of PEFT is no checkpoint.
public struct ModelFolder: Sendable {
  public let path: String
  public let source: any TensorSource
  /// Paths of the files with tensors, sorted by name.
  public let weightFiles: [String]
  /// Sorted by name.
  public let carriedFiles: [CarriedFile]
  /// Sorted by name.
  public let skippedFiles: [SkippedFile]

  /// Opens the weights and lists the rest.
  ///
  /// - Throws: `unknownFormat` when there are no weights, `unsupportedFeature` when they are in a format that cannot
  ///   be read, `invalidArgument` when it is not clear which are meant, `malformed` when index and shards disagree.
  public init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    self.path = path
    let names = try FileTree.names(in: path)
    let weights = try located(file: path) { () throws(StorageError) in try Weights(amongst: names) }
    let used: [String]
    switch weights {
    case .file(let name):
      source = try CheckpointFormat.open(FileTree.join(path, name), mode: mode)
      weightFiles = [FileTree.join(path, name)]
      used = [name]
    case .index(let name):
      let indexPath = FileTree.join(path, name)
      let index = try ShardIndex(contentsOf: indexPath)
      let whole = String(name.dropLast(WeightFileName.index.count))
      guard index.shards == [whole] || !names.contains(whole) else {
        throw StorageError(
          .invalidArgument, "holds both \(whole) and an index of other shards; remove one, or name a file", file: path)
      }
      source = try ShardedSource(index, at: indexPath, mode: mode)
      weightFiles = index.shards.map { FileTree.join(path, $0) }
      used = [name] + index.shards
    }
    (carriedFiles, skippedFiles) = try Self.otherFiles(in: path, used: Set(used))
  }

  /// The file that leads to the weights.
  private enum Weights {
    case file(String)
    case index(String)

    init(amongst names: [String]) throws(StorageError) {
      let visible = names.filter { !$0.hasPrefix(".") }
      for format in WritableFormat.allCases {
        if let found = try Self.weights(of: format, amongst: visible) {
          self = found
          return
        }
      }
      let weights = visible.filter(WeightFileName.isWeights)
      if let adapter = weights.first(where: Self.isAdapter) {
        throw StorageError(.unsupportedFeature, "holds only an adapter (\(adapter)), not a whole checkpoint")
      } else if let other = weights.first {
        throw StorageError(.unsupportedFeature, "holds no weights that can be read, only \(other)")
      } else {
        throw StorageError(.unknownFormat, "holds no weights")
      }
    }

    private static func weights(of format: WritableFormat, amongst names: [String]) throws(StorageError) -> Weights? {
      let usual = format.fileName.stem + format.fileName.suffix
      func isOf(_ name: String) -> Bool { WritableFormat(suffixOf: name) == format }
      let indexes = names.filter {
        $0.hasSuffix(WeightFileName.index) && isOf(String($0.dropLast(WeightFileName.index.count)))
      }
      let files = names.filter(isOf)
      if indexes.contains(usual + WeightFileName.index) { return .index(usual + WeightFileName.index) }
      if files.contains(usual) { return .file(usual) }
      if let index = try only(indexes) { return .index(index) }
      return try only(files.filter { !isAdapter($0) && !isTrainingState($0) }).map { .file($0) }
    }

    /// What `transformers` and `accelerate` write beside a checkpoint's weights.
    private static func isTrainingState(_ name: String) -> Bool {
      ["training_args.", "optimizer.", "optimizer_", "scheduler.", "scaler.", "rng_state"].contains {
        name.hasPrefix($0)
      }
    }

    private static func isAdapter(_ name: String) -> Bool {
      name.hasPrefix("adapter_model.") || name.hasPrefix("adapters.")
    }

    private static func only(_ names: [String]) throws(StorageError) -> String? {
      guard names.count <= 1 else {
        throw StorageError(
          .invalidArgument, "holds several checkpoints (\(names.prefix(4).joined(separator: ", "))…); name the file")
      }
      return names.first
    }
  }
}
