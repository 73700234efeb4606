import TMPackByteIO
import TMPackTensorKit

/// A folder as model hubs and `transformers` keep them: weights, whole or in shards, and the small files that belong
/// to them.
///
/// Which weights:
/// 1. `model.safetensors`, or the shards of `model.safetensors.index.json`; both only if the index means that file.
///    Or else the same with `diffusion_pytorch_model`.
/// 2. Otherwise the same for PyTorch (`pytorch_model.bin`), NumPy (`model.npz`) and GGUF (`model.gguf`).
/// 3. Otherwise the only index of safetensors shards of another name.
/// 4. Otherwise the only safetensors file of another name.
/// 5. Otherwise the same for PyTorch, NumPy and GGUF; the state of a training does not count.
///
/// 6. Otherwise a checkpoint that `torch.distributed.checkpoint` wrote: see `DistributedCheckpoint`.
///
/// A folder of DeepSpeed's ZeRO, or one whose `latest` names such a folder in it, is what `ZeROCheckpoint` makes of it.
/// Safetensors files with pieces of tensors are one checkpoint: see `SafetensorsPieces`.
///
/// Other files with tensors of the same network are components by their names: see `ComponentFile`.
///
/// With a `model_index.json`, as `diffusers` writes it, these rules hold in the folder of each component that has
/// weights, and the tensors are those of all: see `PipelineSource`. Weights beside the index are left then. With a
/// `modules.json` of sentence-transformers they hold in the folder itself and in those of its modules, and the tensors
/// of the folder itself keep their names.
///
/// A choice that two files would do for is an error rather than a guess. An adapter of PEFT is no checkpoint.
package struct ModelFolder: Sendable {
  package let path: String
  package let source: any TensorSource
  /// Paths of the files with tensors, sorted by name.
  package let weightFiles: [String]
  /// Their paths in the folder, and those of the indexes of shards.
  let tensorFiles: Set<String>
  /// Sorted by name.
  package let carriedFiles: [CarriedFile]
  /// Sorted by name.
  package let skippedFiles: [SkippedFile]

  /// Opens the weights and lists the rest.
  ///
  /// - Throws: `unknownFormat` when there are no weights, `unsupportedFeature` when they are in a format that cannot
  ///   be read, `invalidArgument` when it is not clear which are meant, `malformed` when index and shards disagree.
  package init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    self.path = path
    let names = try FileTree.names(in: path)
    let components = try Self.components(in: path, names)
    var sources: [(name: String, source: any TensorSource)] = []
    var files: [String] = []
    var used: [String] = []
    for component in components.isEmpty ? [""] : components {
      let folder = component.isEmpty ? path : FileTree.join(path, component)
      let weights = try OpenedWeights(in: folder, FileTree.names(in: folder), mode)
      sources.append((component, weights.source))
      files += weights.files.map { FileTree.join(folder, $0) }
      used += weights.used.map { component.isEmpty ? $0 : FileTree.join(component, $0) }
      guard component.isEmpty else { continue }
      for file in ComponentFile.all(amongst: names, in: path, used: weights.used, beside: weights.source, mode) {
        sources.append(file)
        files.append(FileTree.join(path, file.name))
        used.append(file.name)
      }
    }
    source =
      sources.count == 1 && sources[0].name.isEmpty ? sources[0].source : try PipelineSource(sources, label: path)
    weightFiles = files
    tensorFiles = Set(used)
    (carriedFiles, skippedFiles) = try Self.otherFiles(in: path, used: tensorFiles)
  }

  /// The folders of a pipeline, or of modules, that hold weights, sorted by name; none unless there is an index of
  /// either.
  private static func components(in folder: String, _ names: [String]) throws(StorageError) -> [String] {
    func areWeights(_ name: String) -> Bool { !name.hasPrefix(".") && WeightFileName.isWeights(name) }
    func hasWeights(_ path: String) throws(StorageError) -> Bool {
      guard FileTree.kind(of: path, followingLinks: false) == .folder else { return false }
      return try FileTree.names(in: path).contains { areWeights($0) }
    }
    var components: [String] = []
    if names.contains(PipelineIndex.fileName) {
      let index = try PipelineIndex(contentsOf: FileTree.join(folder, PipelineIndex.fileName))
      for name in index.components.map(\.name) where names.contains(name) {
        if try hasWeights(FileTree.join(folder, name)) { components.append(name) }
      }
    } else if let list = try ModuleList(in: folder, names) {
      for module in list.folders { try addFolders(of: module) }
      if !components.isEmpty, names.contains(where: { areWeights($0) }) { components.append("") }
    }
    /// A module may have modules of its own in sub-folders.
    func addFolders(of module: String) throws(StorageError) {
      let path = FileTree.join(folder, module)
      guard FileTree.kind(of: path, followingLinks: false) == .folder else { return }
      if try hasWeights(path) { components.append(module) }
      guard module.utf8.count(where: { $0 == UInt8(ascii: "/") }) + 2 < Limits.carriedFileDepth else { return }
      for name in try FileTree.names(in: path) where !name.hasPrefix(".") {
        if (try? CarriedFileName(name)) != nil { try addFolders(of: FileTree.join(module, name)) }
      }
    }
    return Set(components.map { ExactString($0) }).map(\.text).sorted { $0.precedesInBytes($1) }
  }

  /// What belongs to an adapter in a folder besides its own weights: the modules of sentence-transformers that have weights, and
  /// files as `ComponentFile` knows them; nil if there is nothing.
  ///
  /// - Parameter used: files of the adapter itself.
  /// - Returns: paths in the folder, too.
  static func companions(
    ofAdapter adapter: any TensorSource, in folder: String, used: [String], _ mode: InputMode
  ) throws(StorageError) -> (source: any TensorSource, files: [String])? {
    let names = try FileTree.names(in: folder)
    var parts: [(name: String, source: any TensorSource)] = []
    var files: [String] = []
    for component in try names.contains(PipelineIndex.fileName) ? [] : components(in: folder, names)
    where !component.isEmpty {
      let path = FileTree.join(folder, component)
      let weights = try OpenedWeights(in: path, FileTree.names(in: path), mode)
      parts.append((component, weights.source))
      files += weights.used.map { FileTree.join(component, $0) }
    }
    for file in ComponentFile.all(amongst: names, in: folder, used: used, beside: adapter, mode) {
      parts.append(file)
      files.append(file.name)
    }
    return parts.isEmpty ? nil : (try PipelineSource(parts, label: folder), files)
  }

  /// The weights of one folder.
  private struct OpenedWeights {
    let source: any TensorSource
    /// Names of the files with tensors.
    let files: [String]
    /// These, and the index of shards.
    let used: [String]

    init(in folder: String, _ names: [String], _ mode: InputMode) throws(StorageError) {
      let pieces = SafetensorsPieces.files(amongst: names)
      if !pieces.isEmpty, let put = try SafetensorsPieces.open(pieces, in: folder, mode) {
        (source, files, used) = (put, pieces, pieces)
        return
      }
      if ZeROCheckpoint.isOne(names) {
        let checkpoint = try ZeROCheckpoint(folder, names, mode)
        source = checkpoint.source
        (files, used) = (checkpoint.files, checkpoint.files)
        return
      }
      if let step = try ZeROCheckpoint.latest(in: folder, names) {
        let steps = FileTree.join(folder, step)
        let checkpoint = try ZeROCheckpoint(steps, FileTree.names(in: steps), mode)
        source = checkpoint.source
        files = checkpoint.files.map { FileTree.join(step, $0) }
        used = files
        return
      }
      switch try located(file: folder, { () throws(StorageError) in try Weights(amongst: names, in: folder) }) {
      case .split(let name):
        guard let split = try SplitGGUF(FileTree.join(folder, name), mode: mode) else {
          throw StorageError(
            .malformed, "is not the part of a model that its name says", file: FileTree.join(folder, name))
        }
        source = split.source
        files = split.files.map { FileTree.lastComponent($0) }
        used = files
      case .file(let name):
        source = try CheckpointFormat.open(FileTree.join(folder, name), mode: mode)
        (files, used) = ([name], [name])
      case .index(let name):
        let indexPath = FileTree.join(folder, name)
        let index = try ShardIndex(contentsOf: indexPath)
        let whole = WeightFileName.whole(ofIndex: name)!
        guard index.shards == [whole] || !names.contains(whole) else {
          throw StorageError(
            .invalidArgument, "holds both \(whole) and an index of other shards; remove one, or name a file",
            file: folder)
        }
        source = try ShardedSource(index, at: indexPath, mode: mode)
        (files, used) = (index.shards, [name] + index.shards)
      case .distributed:
        let checkpoint = try DistributedCheckpoint(folder, mode)
        source = checkpoint.source
        (files, used) = (checkpoint.files, checkpoint.files)
      }
    }
  }

  /// The file that leads to the weights.
  private enum Weights {
    case file(String)
    /// The first of a split GGUF file's.
    case split(String)
    /// An index of shards, as `WeightFileName.whole(ofIndex:)` knows them.
    case index(String)
    case distributed

    init(amongst names: [String], in folder: String) throws(StorageError) {
      let others = DistributedCheckpoint.isOne(names) ? DistributedCheckpoint.companions : []
      let visible = names.filter { !$0.hasPrefix(".") && !others.contains($0) }
      if let found = try Self.weights(amongst: visible) {
        guard !DistributedCheckpoint.isOne(names) else {
          throw StorageError(
            .invalidArgument,
            "holds both \(found.fileName) and a distributed checkpoint; move one of them elsewhere, or name the file")
        }
        self = found
        return
      }
      if DistributedCheckpoint.isOne(names) {
        self = .distributed
        return
      }
      let weights = visible.filter(WeightFileName.isWeights)
      if let adapter = weights.first(where: Self.isAdapter) {
        throw StorageError(.unsupportedFeature, "holds only an adapter (\(adapter)), not a whole checkpoint")
      } else if let other = weights.first, other != "saved_model.pb" {
        throw StorageError(.unsupportedFeature, "holds no weights that can be read, only \(other)")
      } else {
        throw OtherFormats.reason(ofFolder: folder, names)
      }
    }

    private var fileName: String {
      switch self {
      case .file(let name), .split(let name), .index(let name): name
      case .distributed: DistributedMetadata.fileName
      }
    }

    private static func weights(amongst names: [String]) throws(StorageError) -> Weights? {
      for format in WritableFormat.allCases {
        if let found = usualWeights(of: format, amongst: names) { return found }
      }
      for format in WritableFormat.allCases {
        if let found = try otherWeights(of: format, amongst: names) { return found }
      }
      return nil
    }

    /// Named as libraries do.
    private static func usualWeights(of format: WritableFormat, amongst names: [String]) -> Weights? {
      let (stem, suffix) = format.fileName
      for name in [stem + suffix, WeightFileName.diffusersStem + suffix] {
        if names.contains(name + WeightFileName.index) { return .index(name + WeightFileName.index) }
        if names.contains(name) { return .file(name) }
      }
      return nil
    }

    private static func otherWeights(
      of format: WritableFormat, amongst names: [String]
    ) throws(StorageError) -> Weights? {
      func isOf(_ name: String) -> Bool { WritableFormat(suffixOf: name) == format }
      let files = names.filter(isOf)
      if let index = try only(names.filter { WeightFileName.whole(ofIndex: $0).map(isOf) ?? false }) {
        return .index(index)
      }
      if format == .gguf, files.count > 1, let first = SplitGGUF.first(amongst: files) { return .split(first) }
      return try only(files.filter { !isAdapter($0) && !TrainingState.isOne($0) }).map { .file($0) }
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
