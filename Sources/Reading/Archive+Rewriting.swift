import TMPackArchiveFormat
import TMPackByteIO

extension Archive {
  /// Writes the archive anew without some of its experts and without bytes that belong to nothing. Nothing is decoded.
  ///
  /// - Parameters:
  ///   - path: may be the archive's own; it is then locked against other writers, and replaced when the new one is complete.
  ///   - droppingCorrections: also leaves out what makes lossy experts exact (TMP-6-17).
  ///   - droppingRouter: also leaves out the router.
  /// - Returns: the new size.
  /// - Throws: `unknownName` for an expert that it does not have; `invalidArgument` for one that the router, unless it is
  ///   dropped too, is bound to; `inputOutput` when another process changes the archive, or has since it was opened; what the
  ///   reader and the writer throw.
  @discardableResult
  package func write(
    without names: [String], droppingCorrections: Bool = false, droppingRouter: Bool = false, to path: String,
    replacing: Bool
  ) throws(StorageError) -> UInt64 {
    var removed: Set<Int> = []
    for name in names { removed.insert(try file.expertIndex(named: name)) }
    if !droppingRouter, let router = try file.routerSection()?.manifest {
      // TMP-11-3
      for name in names where router.classes.contains(where: { $0.hasSameBytes(as: name) }) {
        throw StorageError(
          .invalidArgument, "is a class of the archive's router", file: self.path, expert: name
        ).with(.dropRouter)
      }
    }
    let writer =
      try replacing && FileTree.isSame(path, self.path)
      ? ArchiveWriter(rewriting: file, at: path) : ArchiveWriter(creating: path, replacing: replacing)
    try writer.copyShared(of: file)
    for position in experts.indices where !removed.contains(position) {
      try writer.copyExpert(position, of: file, droppingCorrections: droppingCorrections)
    }
    if !droppingRouter { try writer.copyRouter(of: file) }
    try writer.commit()
    return writer.position
  }
}
