import TMPackByteIO
import TMPackTensorKit

/// What a path holds: tensors, and the files that travel with them.
///
/// ```swift
/// let checkpoint = try Checkpoint.open("minilm")
/// print(checkpoint.source.tensors.count, checkpoint.carriedFiles.map(\.name))
/// ```
public struct Checkpoint: Sendable {
  public enum Layout: Sendable, Hashable {
    case file
    case folder
  }

  /// As the caller gave it.
  public let path: String
  public let layout: Layout
  public let source: any TensorSource
  /// Paths of the files with tensors, in the order in which a digest of the checkpoint takes them.
  public let weightFiles: [String]
  /// Sorted by name; none beside a single file.
  public let carriedFiles: [CarriedFile]
  /// What was left out of the tensors, or named anew, when they were read.
  public var notes: [String] { source.notes }
  /// Files of the folder that are left out, with the reason, so that nobody misses them silently.
  public let skippedFiles: [SkippedFile]

  /// Its files as they were when it was opened.
  package let stamps: [FileStamp]

  /// - Parameter stamps: of the files that another object of the same checkpoint has; nil to look at them now.
  package init(
    path: String, layout: Layout, source: any TensorSource, weightFiles: [String], carriedFiles: [CarriedFile],
    skippedFiles: [SkippedFile], stamps: [FileStamp]? = nil
  ) {
    self.path = path
    self.layout = layout
    self.source = source
    self.weightFiles = weightFiles
    self.carriedFiles = carriedFiles
    self.skippedFiles = skippedFiles
    // One that has gone already cannot be read either.
    self.stamps = stamps ?? (weightFiles + carriedFiles.map(\.path)).compactMap { try? FileStamp(of: $0) }
  }

  /// Throws `inputOutput` when one of its files has changed since it was opened: what was made of it may be of both states.
  public func checkUnchanged() throws(StorageError) { try stamps.check() }

  /// The same with other tensors.
  public func replacing(_ source: any TensorSource) -> Checkpoint {
    Checkpoint(
      path: path, layout: layout, source: source, weightFiles: weightFiles, carriedFiles: carriedFiles,
      skippedFiles: skippedFiles, stamps: stamps)
  }

  /// Opens a file or a folder. What it is depends on its content, never on its name.
  ///
  /// - Parameters:
  ///   - text: a path; or the name of a model that is in Hugging Face's cache, where there is no such path.
  ///   - mode: how the bytes of its files come into memory.
  /// - Throws: `notFound`; what `ModelFolder.init` throws; `unknownFormat` or `unsupportedFeature`, saying what the
  ///   file looks like; what the reader of its format throws.
  public static func open(_ text: String, mode: InputMode = .automatic) throws(StorageError) -> Checkpoint {
    let path = try HubCache.path(of: text)
    if FileTree.kind(of: path) == .folder {
      let folder = try ModelFolder(path, mode: mode)
      return Checkpoint(
        path: path, layout: .folder, source: folder.source, weightFiles: folder.weightFiles,
        carriedFiles: folder.carriedFiles, skippedFiles: folder.skippedFiles)
    }
    if let split = try SplitGGUF(path, mode: mode) {
      return Checkpoint(
        path: path, layout: .file, source: split.source, weightFiles: split.files, carriedFiles: [], skippedFiles: [])
    }
    try TensorParallelPart.refuse(path)
    return Checkpoint(
      path: path, layout: .file, source: try CheckpointFormat.open(path, mode: mode), weightFiles: [path],
      carriedFiles: [], skippedFiles: [])
  }
}
