import TMPackByteIO

/// Where an archive is written to: a new file or the end of an existing one.
///
/// Frames, sections and the index go to `write`; `finish` then makes the generation the active one.
package protocol ArchiveOutput: ByteSink {
  /// Where what has been written can be read back.
  var readablePath: String { get }

  /// Makes the generation that `slot` names durable and active, in this order (TMP-2-9).
  ///
  /// - Parameter others: outputs that appear together with a new archive, or not at all.
  func finish(slot: [UInt8], at offset: UInt64, with others: [any StagedOutput]) throws(StorageError)
}

/// A new archive, which appears whole or not at all.
package final class NewArchiveOutput: ArchiveOutput {
  private let file: AtomicFile

  package convenience init(path: String, replacing: Bool, temporary: String? = nil) throws(StorageError) {
    try self.init(AtomicFile(path, replacing: replacing, temporary: temporary))
  }

  /// In the place of the archive at `path`, which is locked.
  convenience init(rewriting path: String) throws(StorageError) { try self.init(AtomicFile(rewriting: path)) }

  private init(_ file: AtomicFile) throws(StorageError) {
    self.file = file
    try file.write([UInt8](repeating: 0, count: Int(Layout.contentStart)))
  }

  package var position: UInt64 { file.position }
  package var readablePath: String { file.readablePath }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) { try file.write(bytes) }

  package func finish(slot: [UInt8], at offset: UInt64, with others: [any StagedOutput]) throws(StorageError) {
    try file.overwrite(slot, at: offset)
    try commitTogether(others + [file])
  }
}

/// The next generation of an existing archive. Until its slot is written, the file is the old archive with residue, which
/// is cut off again when the append is given up.
final class AppendedArchiveOutput: ArchiveOutput {
  private let file: UpdatableFile

  init(path: String, archiveEnd: UInt64) throws(StorageError) {
    file = try UpdatableFile(path, end: archiveEnd)
  }

  var position: UInt64 { file.position }
  var readablePath: String { file.path }

  func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) { try file.write(bytes) }

  func finish(slot: [UInt8], at offset: UInt64, with others: [any StagedOutput]) throws(StorageError) {
    precondition(others.isEmpty, "an append is one output")
    try file.truncate(at: file.position)
    try file.sync()
    try file.switchOver(slot, at: offset)
  }
}

/// Counts what would be written.
final class MeasuringOutput: ArchiveOutput {
  private(set) var position: UInt64
  var readablePath: String { preconditionFailure("nothing was written") }

  init(position: UInt64) { self.position = position }

  func write(_ bytes: UnsafeRawBufferPointer) { position += UInt64(bytes.count) }

  func finish(slot _: [UInt8], at _: UInt64, with _: [any StagedOutput]) {}
}
