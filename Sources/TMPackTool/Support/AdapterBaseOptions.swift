import ArgumentParser
import TMPackByteIO
import TMPackModels
import TMPackReading

/// For commands that read adapters and archives: the model that adapters are for, and the shared model that is elsewhere.
struct AdapterBaseOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model that PEFT adapters are for: a file, a folder or ARCHIVE# (default: an archive's shared model, if that is the base); and that a detached archive is for.",
      valueName: "path"))
  var base: String?

  @Option(
    help: ArgumentHelp(
      "The shared model of a detached archive (default: --base, if that is what it was made from).", valueName: "path"),
    completion: .file())
  var sharedFrom: String?

  var detached: DetachedModel {
    DetachedModel(path: sharedFrom, base: base.flatMap { TensorReference($0).isPath ? $0 : nil })
  }

  /// The model, when an adapter asks for it.
  ///
  /// - Parameter archive: whose shared model is used if it is the base.
  func source(
    _ archives: OpenArchives, archive: Archive? = nil
  ) throws(StorageError) -> AdapterBase? {
    if let base { return try TensorReference(base).openAdapterBase(archives) }
    guard let archive, archive.method.name == .base else { return nil }
    return try AdapterBase(Reconstructor(archive, memoryLimit: 0).mix(.shared))
  }
}
