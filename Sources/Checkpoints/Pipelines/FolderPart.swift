import ByteIO
import TensorKit

/// What is written into one folder of a checkpoint: all of it, or a component of a pipeline.
struct FolderPart: Sendable {
  /// With a slash at its end; empty for the checkpoint's own folder.
  let folder: String
  /// Of the weight files' names; nil for what the format usually has.
  let stem: String?
  /// The tensors by the names that they have in the files.
  let source: any TensorSource

  static func whole(_ source: any TensorSource) -> FolderPart { FolderPart(folder: "", stem: nil, source: source) }

  /// The components, if `files` have the index of a pipeline and every tensor is of one of its components; otherwise
  /// the whole. So what `PipelineSource` made one is taken apart again.
  static func parts(of source: any TensorSource, beside files: [CarriedContent]) throws(StorageError) -> [FolderPart] {
    guard let file = files.first(where: { $0.name.text == PipelineIndex.fileName }) else { return [whole(source)] }
    // One that is none belongs to something else.
    let text = try file.bytes()
    guard let index = try? text.withBytes({ raw throws(StorageError) in try PipelineIndex(parsing: raw) }) else {
      return [whole(source)]
    }
    var remaining = source.tensors.count
    var parts: [FolderPart] = []
    for component in index.components {
      let prefix = Array((component.name + PipelineSource.separator).utf8)
      let own = TensorSelection(of: source) { $0.name.utf8.starts(with: prefix) }
      guard !own.tensors.isEmpty else { continue }
      remaining -= own.tensors.count
      let named = try RenamedSource(own) { String(decoding: $0.utf8.dropFirst(prefix.count), as: UTF8.self) }
      parts.append(
        FolderPart(folder: component.name + PipelineSource.separator, stem: component.weightStem, source: named))
    }
    return remaining == 0 && !parts.isEmpty ? parts : [whole(source)]
  }
}
