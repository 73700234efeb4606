import ArgumentParser
import TMPackByteIO
import TMPackModels
import TMPackReading

/// For commands that read adapters: the model that they are for.
struct AdapterBaseOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model that PEFT adapters are for: a file, a folder or ARCHIVE# (default: an archive's shared model, if that is the base).",
      valueName: "path"))
  var base: String?

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
