import TMPackArchiveFormat
import TMPackByteIO

extension Archive {
  /// The table of contents of the router; nil in an archive without one.
  package func routerManifest() throws(StorageError) -> RouterManifest? { try file.routerSection()?.manifest }

  /// Whether there is a router: known without reading it.
  package var hasRouter: Bool { file.index.router != nil }

  /// The experts that the router has no class for, in declaration order; none in an archive without a router.
  package func expertsWithoutClass() throws(StorageError) -> [String] {
    guard let classes = try routerManifest()?.classes else { return [] }
    let known = Set(classes.map { ExactString($0) })
    return experts.map(\.name).filter { !known.contains(ExactString($0)) }
  }

  /// Puts a router into the archive, in place: all else stays as it is, and a crash leaves the archive as it was (TMP-2-9).
  ///
  /// - Parameter replacing: whether a router that is there may be replaced. Its bytes stay in the file until the archive is
  ///   written anew.
  /// - Throws: `unknownName` for a class that is no expert of the archive; `outputExists`; what writing throws.
  package func put(_ router: RouterDraft, replacing: Bool = false, level: Int = 3) throws(StorageError) {
    if hasRouter, !replacing {
      throw StorageError(.outputExists, "has a router already", file: path).with(.replace)
    }
    for name in router.classes { _ = try file.expertIndex(named: name) }
    let writer = try ArchiveWriter(appendingTo: file, level: level)
    let stored = try router.model.place(in: writer, dtype: router.dtype, level: level)
    try writer.finishRouter(
      RouterManifest(
        classes: router.classes, dimension: router.model.dimension, model: stored,
        temperature: router.temperature.map { Measure($0) },
        fallbackEntropy: router.fallbackEntropy.map { Measure($0) }, measures: router.measures,
        provenance: router.provenance))
    try writer.commit()
  }
}
