#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An existing file, locked against other writers, that is extended in place in an order that a crash cannot break.
///
/// The caller decides that order: write beyond what is live, `sync()`, then switch over with one small write.
public final class UpdatableFile: OverwritableSink {
  public let path: String
  /// The end of what was written: where `write` goes next.
  public private(set) var position: UInt64
  private let descriptor: Int32

  /// Opens for writing after `end`, the end of the file's live bytes. What follows them is overwritten.
  /// - Throws: `inputOutput` when another process holds the lock.
  public init(_ path: String, end: UInt64) throws(StorageError) {
    descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError("open for writing", file: path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw StorageError(.inputOutput, "another process is changing it", file: path)
    }
    self.path = path
    position = end
  }

  deinit { close(descriptor) }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    try writeAll(bytes, to: descriptor, at: position, path: path)
    position += UInt64(bytes.count)
  }

  public func overwrite(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    try bytes.withBytes { raw throws(StorageError) in
      try writeAll(raw, to: descriptor, at: offset, path: path)
    }
  }

  /// Returns when all that was written is on the disk.
  public func sync() throws(StorageError) {
    guard fsync(descriptor) == 0 else { throw systemError("sync", file: path) }
  }

  /// Cuts the file at `end`.
  public func truncate(at end: UInt64) throws(StorageError) {
    guard ftruncate(descriptor, off_t(end)) == 0 else { throw systemError("truncate", file: path) }
  }
}
