import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension Checkpoint {
  /// Opens a checkpoint, or an adapter together with the base that it is for.
  ///
  /// ```swift
  /// let base = try Checkpoint.open("llama")
  /// let math = try Checkpoint.open("math-lora", onBase: AdapterBase(base))  // the merged model
  /// ```
  ///
  /// `base+adapter`, as mergekit writes it, is a base with an adapter where there is no such path.
  ///
  /// - Parameter base: asked for only if `path` is a folder with an adapter and nothing else; nil if there is none.
  /// - Throws: `invalidArgument` for an adapter without a base; what `LoRAAdapter`, `AdaptedSource` and `open` throw.
  package static func open(
    _ text: String, onBase base: @autoclosure () throws(StorageError) -> AdapterBase?,
    mode: InputMode = .automatic
  ) throws(StorageError) -> Checkpoint {
    if FileTree.kind(of: text) == nil, let sides = baseAndAdapter(text) {
      let base = try open(sides.base, mode: mode).dequantized()
      let adapted = try open(sides.adapter, onBase: AdapterBase(base), mode: mode)
      // The base's files, but for a configuration that the adapter has changed.
      let changed = adapted.carriedFiles.filter { $0.name.text == ConfigurationChanges.fileName }
      let files = base.carriedFiles.filter { file in !changed.contains { $0.name == file.name } } + changed
      return Checkpoint(
        path: base.path, layout: base.layout, source: adapted.source,
        weightFiles: base.weightFiles + adapted.weightFiles,
        carriedFiles: files.sorted { $0.name < $1.name }, skippedFiles: base.skippedFiles,
        stamps: base.stamps + adapted.stamps)
    }
    let path = LoRAAdapter.folder(ofWeights: try HubCache.path(of: text))
    guard LoRAAdapter.isAdapter(path) else {
      let model = try open(path, mode: mode)
      if model.layout == .file, LoRAFile.isOfPEFT(model.source.tensors), try base() != nil {
        throw StorageError(
          .unsupportedFeature,
          "is an adapter of PEFT without its adapter_config.json, which says how much of it is added: name a folder with both",
          file: path)
      }
      return model
    }
    let base = try base()
    // A lone file is one of tensors, too.
    if base == nil, FileTree.kind(of: path) == .file { return try open(path, mode: mode) }
    let adapter = try LoRAAdapter(path, mode: mode)
    guard let base = try base?.dequantized() else {
      let hint = adapter.configuration.baseModelName.map { " (\($0))" } ?? ""
      throw StorageError(
        .invalidArgument, "is an adapter, and the model that it is for\(hint) is not given", file: path
      ).with(.giveBase)
    }
    let (source, adapted) = try adapted(base, by: adapter)
    return Checkpoint(
      path: path, layout: .folder, source: source, weightFiles: adapter.weightFiles,
      carriedFiles: try carriedFiles(of: adapter, adapted, base), skippedFiles: adapter.skippedFiles)
  }

  /// The adapter's, and the model's configuration where merging changes it.
  private static func carriedFiles(
    of adapter: LoRAAdapter, _ adapted: AdaptedSource, _ base: AdapterBase
  ) throws(StorageError) -> [CarriedFile] {
    let changes = adapted.configurationChanges
    let name = ConfigurationChanges.fileName
    let own = adapter.carriedFiles.first { $0.name.text == name }
    guard !changes.isEmpty, let begun = own?.content ?? base.files.first(where: { $0.name.text == name }) else {
      return adapter.carriedFiles
    }
    let changed = CarriedFile(
      name: begun.name, path: own?.path ?? adapter.weightFiles[0], changedTo: changes.applied(to: try begun.bytes()))
    return (adapter.carriedFiles.filter { $0.name.text != name } + [changed]).sorted { $0.name < $1.name }
  }

  /// The base with the adapter, and that under the names of the base on disk, where the adapter's are those in memory, or those of
  /// another version on disk.
  private static func adapted(
    _ base: AdapterBase, by adapter: LoRAAdapter
  ) throws(StorageError) -> (source: any TensorSource, adapted: AdaptedSource) {
    let architectures = [base.architecture, base.modelType].compactMap { $0 }
    let headWidth = ModelArchitecture(in: base.files).headWidth
    let names = adapter.names + adapter.wholeTensors.map(\.name)
    let isUnderscored = UnderscoredNames.areUsed(by: adapter.names)
    var view =
      try isUnderscored
      ? nil
      : base.source.inMemory(
        having: names, architectures: architectures, headWidth: headWidth)
    if view == nil, !isUnderscored { view = try base.source.onDisk(having: names, architectures: architectures) }
    if view == nil, !isUnderscored, let own = try base.source.inMemory(by: architectures, headWidth: headWidth) {
      // An output layer that the file lacks, being tied, has its name in memory alone.
      let ties = try TiedEmbeddings(of: base.replacing(AlignedSource(base.source, own)))
      if let ties, names.contains(ties.head) { view = own }
    }
    guard let view else {
      let adapted = try AdaptedSource(adapter, on: base)
      return (adapted, adapted)
    }
    let adapted = try AdaptedSource(adapter, on: base.replacing(AlignedSource(base.source, view)))
    var newNames: [String: String] = [:]
    if let untied = adapted.untied, let onDisk = try TiedEmbeddings(of: base) { newNames[untied.head] = onDisk.head }
    return (try AlignedSource(undoing: view, of: adapted, naming: newNames), adapted)
  }
}
