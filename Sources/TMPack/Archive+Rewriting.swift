import ArchiveFormat
import ByteIO

extension Archive {
  /// Writes the archive anew without some of its experts and without bytes that belong to nothing. Nothing is decoded.
  ///
  /// - Parameters:
  ///   - path: may be the archive's own; it is then replaced when the new one is complete.
  /// - Returns: the new size.
  /// - Throws: `unknownName` for an expert that it does not have; what the reader and the writer throw.
  ///   - droppingCorrections: also leaves out what makes lossy experts exact (TMP-6-17).
  @discardableResult
  public func write(
    without names: [String], droppingCorrections: Bool = false, to path: String, replacing: Bool
  ) throws(StorageError) -> UInt64 {
    var removed: Set<Int> = []
    for name in names { removed.insert(try file.expertIndex(named: name)) }
    let writer = try ArchiveWriter(creating: path, replacing: replacing)
    try writer.copyShared(of: file)
    for position in experts.indices where !removed.contains(position) {
      try writer.copyExpert(position, of: file, droppingCorrections: droppingCorrections)
    }
    try writer.commit()
    return try Archive(path).size
  }
}
