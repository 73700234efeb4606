import ByteIO
import Parallel
import TensorKit

/// Where a checkpoint is written: one file if the path ends in `.safetensors`, else a folder for `transformers`.
///
/// ```swift
/// let input = try Checkpoint.open("in")
/// let output = CheckpointDestination("out")
/// try output.write(input.source, carriedFiles: input.carriedFiles.map(\.content))
/// ```
///
/// The output appears whole or not at all, on the disk when `write` returns. Its bytes depend on the tensors, the
/// metadata and `maxShardBytes` alone: not on the number of threads, nor on the format that the tensors came from.
public struct CheckpointDestination: Sendable {
  public let path: String
  /// Whether what is there already may be replaced.
  public let replacing: Bool
  /// Bytes of tensors in one file of a folder; a larger tensor has a file for itself. A single file is never split.
  public let maxShardBytes: UInt64

  public init(_ path: String, replacing: Bool = false, maxShardBytes: UInt64 = 5_000_000_000) {
    self.path = path
    self.replacing = replacing
    self.maxShardBytes = maxShardBytes
  }

  public var layout: Checkpoint.Layout { path.hasSuffix(WeightFileName.safetensors) ? .file : .folder }

  /// Writes every tensor of `source`, its metadata, and in a folder the carried files.
  ///
  /// `source.bytes(of:)` is called on several threads, in the order of the file. The metadata is written as it is;
  /// `transformers` wants it to be empty or to have `"format": "pt"`.
  ///
  /// - Parameters:
  ///   - carriedFiles: none for a single file.
  ///   - progress: bytes of tensors written, and of all tensors; called after each tensor on this thread.
  /// - Throws: `outputExists`; `unsupportedFeature` for a path with the suffix of another format; `invalidArgument`
  ///   for carried files beside a single file, `malformed` for two of one name; what `source` throws; `inputOutput`.
  ///   Nothing is left behind then.
  /// - Complexity: memory for `threads + 1` tensors, unless they are views of a mapped file.
  public func write(
    _ source: some TensorSource, carriedFiles: [CarriedContent] = [], threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) {
    let plan = try ShardPlan(source, maximum: layout == .file ? nil : maxShardBytes)
    let otherFiles = try carriedFiles + plan.indexFile
    try checkNames(of: otherFiles, beside: plan.shards)
    var written: UInt64 = 0
    func put(_ shard: ShardPlan.Shard, in file: AtomicFile) throws(StorageError) {
      try stream(source, shard.header, to: file, threads: threads) { bytes in
        written += UInt64(bytes)
        progress(written, plan.totalSize)
      }
      try file.commit()
    }
    switch layout {
    case .file:
      try put(plan.shards[0], in: AtomicFile(path, replacing: replacing))
    case .folder:
      let folder = try AtomicFolder(path, replacing: replacing)
      // The small files first: if one of them cannot be had, that is known before the long part.
      for file in otherFiles { try add(file, to: folder) }
      for shard in plan.shards { try put(shard, in: folder.makeFile(CarriedFileName(shard.fileName))) }
      try folder.commit()
    }
  }

  /// Refuses now what could only fail later.
  private func checkNames(of files: [CarriedContent], beside shards: [ShardPlan.Shard]) throws(StorageError) {
    if layout == .file {
      guard let first = files.first else { return }
      throw StorageError(.invalidArgument, "a single file has no place for \(first.name); write a folder", file: path)
    }
    if WeightFileName.isWeights(path) {
      throw StorageError(.unsupportedFeature, "is named as a file of a format that cannot be written", file: path)
    }
    var taken = Set(shards.map(\.fileName))
    for file in files where !taken.insert(file.name.text).inserted {
      throw StorageError(.malformed, "two files are named \"\(file.name)\"", file: path)
    }
  }

  private func add(_ content: CarriedContent, to folder: AtomicFolder) throws(StorageError) {
    let file = try folder.makeFile(content.name)
    try file.write(content.bytes())
    try file.commit()
  }

  /// Writes one safetensors file: tensors are made on `threads` threads and written here in order.
  private func stream(
    _ source: some TensorSource, _ header: SafetensorsHeader, to sink: any ByteSink, threads: Int,
    wrote: (Int) -> Void
  ) throws(StorageError) {
    var writer = try SafetensorsWriter(header, to: sink)
    try OrderedPipeline(threads: threads).run(header.entries.count) { index throws(StorageError) in
      try source.bytes(of: header.entries[index].info)
    } consume: { _, bytes throws(StorageError) in
      try bytes.withBytes { raw throws(StorageError) in try writer.append(raw) }
      wrote(bytes.count)
    }
    writer.finish()
  }
}
