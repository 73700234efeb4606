import TMPackByteIO
import TMPackTensorKit

/// What is written into one folder of a checkpoint: all of it, or a component of a pipeline.
struct FolderPart: Sendable {
  /// With a slash at its end; empty for the checkpoint's own folder.
  let folder: String
  /// Of the weight files' names; nil for what the format usually has.
  let stem: String?
  /// The only file, where the part has one of its own: see `ComponentFile`.
  let file: String?
  /// The tensors by the names that they have in the files.
  let source: any TensorSource

  init(folder: String = "", stem: String? = nil, file: String? = nil, source: any TensorSource) {
    (self.folder, self.stem, self.file, self.source) = (folder, stem, file, source)
  }

  static func whole(_ source: any TensorSource) -> FolderPart { FolderPart(source: source) }

  /// What `ModelFolder` made one, taken apart again: components with a file of their own, and the folders of the rest.
  static func parts(of source: any TensorSource, beside files: [CarriedContent]) throws(StorageError) -> [FolderPart] {
    let names = Set(source.tensors.compactMap { ComponentFile.name(inTensor: $0.name).map { ExactString($0) } })
      .map(\.text).sorted { $0.precedesInBytes($1) }
    let (own, rest) = try split(source, names.map { ($0, nil) })
    let components = zip(names, own).map { FolderPart(file: $0, source: $1.source) }
    return try (rest.tensors.isEmpty && !own.isEmpty ? [] : folders(of: rest, beside: files)) + components
  }

  /// The components, if `files` have the index of a pipeline and every tensor is of one of its components, or a list of
  /// modules; otherwise the whole. So what `PipelineSource` made one is taken apart again.
  private static func folders(
    of source: any TensorSource, beside files: [CarriedContent]
  ) throws(StorageError) -> [FolderPart] {
    // One that is none belongs to something else.
    if let text = try content(PipelineIndex.fileName, of: files) {
      guard let index = try? text.withBytes({ raw throws(StorageError) in try PipelineIndex(parsing: raw) }) else {
        return [whole(source)]
      }
      let (parts, rest) = try split(source, index.components.map { ($0.name, $0.weightStem) })
      return rest.tensors.isEmpty && !parts.isEmpty ? parts : [whole(source)]
    }
    if let text = try content(ModuleList.fileName, of: files),
      var list = try? text.withBytes({ raw throws(StorageError) in try ModuleList(parsing: raw) }) ?? nil
    {
      if let routes = try content(ModuleList.routerFileName, of: files) {
        try? routes.withBytes { raw throws(StorageError) in try list.addRoutes(parsing: raw) }
      }
      // A module may have modules of its own: the folder of a tensor is what stands before its last separator.
      let folders = Set(
        source.tensors.compactMap { info -> ExactString? in
          guard let end = info.name.lastIndex(of: Character(PipelineSource.separator)) else { return nil }
          let folder = String(info.name[..<end])
          let isOfModule = list.folders.contains { (folder + "/").utf8.starts(with: ($0 + "/").utf8) }
          return isOfModule && (try? CarriedFileName(folder + "/x")) != nil ? ExactString(folder) : nil
        })
      // The innermost first.
      let (parts, rest) = try split(
        source, folders.map { ($0.text, nil) }.sorted { $1.0.precedesInBytes($0.0) })
      return (rest.tensors.isEmpty ? [] : [whole(rest)]) + parts.reversed()
    }
    return [whole(source)]
  }

  private static func content(_ name: String, of files: [CarriedContent]) throws(StorageError) -> [UInt8]? {
    guard let file = files.first(where: { $0.name.text == name }) else { return nil }
    return try file.bytes()
  }

  /// The tensors of each of `folders` that has any, by their names there, and the others.
  private static func split(
    _ source: any TensorSource, _ folders: [(name: String, stem: String?)]
  ) throws(StorageError) -> (parts: [FolderPart], rest: any TensorSource) {
    var rest = source
    var parts: [FolderPart] = []
    for (name, stem) in folders {
      let prefix = Array((name + PipelineSource.separator).utf8)
      let own = TensorSelection(of: rest) { $0.name.utf8.starts(with: prefix) }
      guard !own.tensors.isEmpty else { continue }
      rest = TensorSelection(of: rest) { !$0.name.utf8.starts(with: prefix) }
      let named = try RenamedSource(own) { String(decoding: $0.utf8.dropFirst(prefix.count), as: UTF8.self) }
      parts.append(FolderPart(folder: name + PipelineSource.separator, stem: stem, source: named))
    }
    return (parts, rest)
  }
}
