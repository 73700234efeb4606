#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An existing file, locked against other writers, that is extended in place in an order that a crash cannot break.
///
/// The caller decides that order: write beyond what is live, `sync()`, then switch over with one small write. What was
/// written is cut off again when the object is dropped, or the process interrupted, before that.
package final class UpdatableFile: ByteSink {
  package let path: String
  /// The end of what was written: where `write` goes next.
  package private(set) var position: UInt64
  private let file: LockedFile
  /// The end of what is live.
  private let end: UInt64
  private var hasSwitched = false

  /// Opens for writing after `end`, the end of the file's live bytes. What follows them is overwritten.
  /// - Throws: `inputOutput` when another process holds the lock.
  package init(_ path: String, end: UInt64) throws(StorageError) {
    file = try LockedFile(path)
    self.path = path
    self.end = end
    position = end
  }

  deinit {
    guard !hasSwitched, position > end else { return }
    // If it cannot be cut off, it stays as a crash would have left it.
    try? truncate(at: end)
    try? UnfinishedOutputs.keeping(file.descriptor) {}
  }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    let start = position
    position += UInt64(bytes.count)
    try UnfinishedOutputs.lengthening(file.descriptor, from: end) { () throws(StorageError) in
      try writeAll(bytes, to: file.descriptor, at: start, path: path)
    }
  }

  /// Returns when all that was written is on the disk.
  package func sync() throws(StorageError) {
    guard syncFile(file.descriptor) == 0 else { throw systemError("sync", file: path) }
  }

  /// Cuts the file at `end`.
  package func truncate(at end: UInt64) throws(StorageError) {
    guard retrying({ ftruncate(file.descriptor, off_t(end)) }) == 0 else { throw systemError("truncate", file: path) }
  }

  /// Writes over bytes that nothing needs any more, in front of the live ones' end, and so makes what was appended live.
  /// Afterwards nothing fails any more: what cannot be synced is noted.
  ///
  /// - Throws: `inputOutput` also when the file has been replaced meanwhile. The file is then what it was.
  package func switchOver(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    precondition(offset + UInt64(bytes.count) <= end, "switches over in live bytes")
    try file.checkName(path)
    let before = try [UInt8](count: bytes.count) { buffer throws(StorageError) in
      try readAll(into: buffer, from: file.descriptor, at: offset, path)
    }
    try UnfinishedOutputs.keeping(file.descriptor) { () throws(StorageError) in
      hasSwitched = true
      do throws(StorageError) {
        try bytes.withBytes { raw throws(StorageError) in
          try writeAll(raw, to: file.descriptor, at: offset, path: path)
        }
      } catch {
        // A part of it may be there. Only with what was there before does nothing need what was appended.
        hasSwitched = !restore(before, at: offset)
        throw error
      }
    }
    CommitNotes.appeared(path)
    CommitNotes.afterwards(path) { () throws(StorageError) in try sync() }
  }

  private func restore(_ bytes: [UInt8], at offset: UInt64) -> Bool {
    let restored: ()? = try? bytes.withBytes { raw throws(StorageError) in
      try writeAll(raw, to: file.descriptor, at: offset, path: path)
    }
    return restored != nil && syncFile(file.descriptor) == 0
  }
}
