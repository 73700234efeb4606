import TMPackByteIO
import TMPackParallel
import TMPackTensorKit

/// Where a checkpoint is written, and how: one file if the path ends as files of weights do (`.safetensors`, `.bin`,
/// `.npz`, …), else a folder for `transformers`.
///
/// ```swift
/// let input = try Checkpoint.open("in")
/// let output = try CheckpointDestination("out")
/// try output.write(input.source, carriedFiles: input.carriedFiles.map(\.content))
/// ```
///
/// The output appears whole or not at all, on the disk when `write` returns. Its bytes depend on the tensors, the
/// metadata, the ties and `maxShardBytes` alone: not on the number of threads, nor on the format that the tensors came
/// from.
public struct CheckpointDestination: Sendable {
  public let path: String
  public let format: WritableFormat
  public let layout: Checkpoint.Layout
  /// Whether what is there already may be replaced.
  public let replacing: Bool
  /// Bytes of tensors in one file of a folder; a larger tensor has a file for itself. A single file is never split.
  public let maxShardBytes: UInt64
  /// What the matrices of a GGUF file are quantised to, where it suits them; nil to write all tensors as they are.
  package var quantization: GGUFQuantization?
  /// Names of files that may lie in an older folder and go with it, besides those of a model.
  public var companions: Set<String> = []

  /// - Parameter format: nil for what the path's suffix means, safetensors for a folder.
  /// - Throws: `unsupportedFeature` for a path with the suffix of a format that cannot be written; `invalidArgument`
  ///   when its suffix means another format, or for a quantisation of anything but GGUF.
  package init(
    _ path: String, format: WritableFormat? = nil, replacing: Bool = false, maxShardBytes: UInt64 = 5_000_000_000,
    quantization: GGUFQuantization? = nil
  ) throws(StorageError) {
    let implied = WritableFormat(suffixOf: path)
    if implied == nil, WeightFileName.isWeights(path) {
      throw StorageError(.unsupportedFeature, "is named as a file of a format that cannot be written", file: path)
    }
    if let format, let implied, format != implied {
      throw StorageError(
        .invalidArgument, "is named as a file of \(implied.rawValue), not of \(format.rawValue)", file: path)
    }
    self.path = path
    self.format = format ?? implied ?? .safetensors
    layout = implied == nil ? .folder : .file
    self.replacing = replacing
    self.maxShardBytes = maxShardBytes
    self.quantization = quantization
    guard let quantization else { return }
    guard self.format == .gguf else {
      throw StorageError(
        .invalidArgument, "only GGUF files hold quantised tensors, not \(self.format.rawValue)", file: path)
    }
    guard quantization.type.isQuantized, quantization.type.isWritable else {
      throw StorageError(.invalidArgument, "tensors cannot be quantised to \(quantization.type)", file: path)
    }
  }

  /// What a person should know of writing `source` here: what is lost, and what is quantised.
  public func notes(on source: some TensorSource) -> [String] {
    var notes = format.losses(of: source)
    if let quantization {
      let types = source.tensors.map { quantization.type.fitting($0) }
      let kept = zip(source.tensors, types).filter { $0.1 == nil }.map(\.0.name)
      let count = source.tensors.count
      let rest = kept.isEmpty ? "" : "; as they are: \(WritableFormat.listed(kept))"
      let others = types.compactMap { $0 }.filter { $0 != quantization.type }
      let narrow = others.first.map { ", \(others.count) of them, of other lengths, to \($0)" } ?? ""
      notes.append("\(count - kept.count) of \(count) tensors are quantised to \(quantization.type)\(narrow)\(rest)")
      if let importance = quantization.importance {
        let weighted = source.tensors.filter {
          quantization.type.fitting($0)?.isWeightable == true && importance.has($0)
        }
        notes.append("\(weighted.count) of them by how much their inputs count")
      }
    }
    return notes
  }

  /// Writes every tensor of `source`, its metadata, and in a folder the carried files. With the index of a pipeline
  /// among these, each component's tensors go into a folder of their own, and those of a component that is a file into
  /// that: see `FolderPart`.
  ///
  /// `source.bytes(of:)` is called on several threads, in the order of the file. The metadata is written as it is,
  /// where the format has a place for it (see `WritableFormat.losses(of:)`). Only in safetensors files `"format": "pt"`
  /// is added where no framework is named: `transformers` loads none without.
  ///
  /// - Parameters:
  ///   - source: whose tensors are written.
  ///   - carriedFiles: none for a single file.
  ///   - threads: at least 1; the bytes do not depend on it.
  ///   - progress: bytes of tensors written, and of all tensors; called after each tensor, or part of a large one, on this thread.
  ///   - inputs: what the tensors come from: if one of them has changed meanwhile, nothing is written.
  /// - Returns: bytes of all files with tensors.
  /// - Throws: `outputExists`; `unsupportedFeature` for a tensor that the format cannot hold; `invalidArgument` for
  ///   carried files beside a single file, `malformed` for two of one name; what `source` throws; `inputOutput`.
  ///   Nothing is left behind then.
  /// - Complexity: memory for `threads + 1` tensors, but no more than 1 MiB each of those that lie in a file as they are
  ///   to be written.
  @discardableResult
  public func write(
    _ source: some TensorSource, carriedFiles: [CarriedContent] = [], inputs: [Checkpoint] = [],
    threads: Int = availableCores(), progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> UInt64 {
    let staged = try stage(source, carriedFiles: carriedFiles, threads: threads, progress: progress)
    for input in inputs { try input.checkUnchanged() }
    try staged.output.commit()
    return staged.bytes
  }

  /// `write`, up to the point where the output would appear: for one that appears together with others.
  ///
  /// - Parameter keepingName: whether a single file can be read under its own name meanwhile, in another folder.
  package func stage(
    _ source: some TensorSource, carriedFiles: [CarriedContent] = [], keepingName: Bool = false,
    threads: Int = availableCores(), progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> StagedCheckpoint {
    let plans = try located(file: path) { () throws(StorageError) in
      let parts = layout == .file ? [.whole(source)] : try FolderPart.parts(of: source, beside: carriedFiles)
      return try parts.map { part throws(StorageError) in
        try ShardPlan(part, format, maximum: layout == .file ? nil : maxShardBytes, quantization: quantization)
      }
    }
    var otherFiles = carriedFiles
    for plan in plans { otherFiles += try plan.indexFile }
    let names = try checkedNames(of: otherFiles, beside: plans)
    let total = plans.reduce(0) { $0 &+ $1.writtenSize }
    var written: UInt64 = 0
    var fileBytes: UInt64 = 0
    func put(_ shard: ShardPlan.Shard, of plan: ShardPlan, in file: AtomicFile) throws(StorageError) {
      try TensorStream(plan.part.source, shard.plan).write(to: file, threads: threads) { bytes in
        written += UInt64(bytes)
        progress(written, total)
      }
      fileBytes += file.position
    }
    switch layout {
    case .file:
      let file = try AtomicFile(path, replacing: replacing, keepingName: keepingName)
      try put(plans[0].shards[0], of: plans[0], in: file)
      return StagedCheckpoint(output: file, readablePath: file.readablePath, bytes: fileBytes, folder: nil)
    case .folder:
      let folder = try AtomicFolder(path, replacing: replacing ? replaceable(by: names) : nil)
      // The small files first: if one of them cannot be had, that is known before the long part.
      for file in otherFiles { try add(file, to: folder) }
      for plan in plans {
        for shard in plan.shards {
          let file = try folder.makeFile(CarriedFileName(plan.part.folder + shard.fileName))
          try put(shard, of: plan, in: file)
          try file.commit()
        }
      }
      return StagedCheckpoint(output: folder, readablePath: folder.staging, bytes: fileBytes, folder: folder)
    }
  }

  /// What a folder may lose to this one: files of the same names, all weights of the model that it is, what libraries write
  /// beside the weights of any model, and companions.
  private func replaceable(by names: Set<ExactString>) -> (String) -> Bool {
    let old = (try? ModelFolder(path))?.tensorFiles ?? []
    let replaceable = names.union(old.union(companions).map { ExactString($0) })
    return { name in
      replaceable.contains(ExactString(name)) || Self.filesOfAnyModel.contains(FileTree.lastComponent(name))
    }
  }

  /// A model that another one takes the place of may have had such a file where the other has none.
  private static let filesOfAnyModel: Set<String> = [
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "config.json",
    "config_sentence_transformers.json",
    "feature_extractor_config.json", "generation_config.json", "merges.txt", "model_index.json", "modules.json",
    "preprocessor_config.json", "processor_config.json", "scheduler_config.json", "sentence_bert_config.json",
    "sentencepiece.bpe.model", "special_tokens_map.json", "spiece.model", "tokenizer.json", "tokenizer.model",
    "tokenizer_config.json", "video_preprocessor_config.json", "vocab.json", "vocab.txt",
  ]

  /// Paths of the output's files in it. Refuses now what could only fail later.
  private func checkedNames(
    of files: [CarriedContent], beside plans: [ShardPlan]
  ) throws(StorageError) -> Set<ExactString> {
    if layout == .file {
      guard let first = files.first else { return [] }
      throw StorageError(.invalidArgument, "a single file has no place for \(first.name); write a folder", file: path)
    }
    var taken = Set(plans.flatMap { plan in plan.shards.map { ExactString(plan.part.folder + $0.fileName) } })
    for file in files where !taken.insert(ExactString(file.name.text)).inserted {
      throw StorageError(.malformed, "two files are named \"\(file.name)\"", file: path)
    }
    return taken
  }

  private func add(_ content: CarriedContent, to folder: AtomicFolder) throws(StorageError) {
    let file = try folder.makeFile(content.name)
    try file.write(content.bytes())
    try file.commit()
  }
}

/// A checkpoint that is written and has not appeared yet.
package struct StagedCheckpoint {
  package let output: any StagedOutput
  /// Where it can be read until it appears.
  package let readablePath: String
  /// Bytes of all files with tensors.
  package let bytes: UInt64
  /// nil for a single file.
  package let folder: AtomicFolder?
}
