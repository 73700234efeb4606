import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Disk space without a name, for what does not fit in memory: it is gone when the process ends, however it ends.
///
/// Safe to use from several threads.
package final class ScratchFile: PositionalReader {
  private let descriptor: Int32
  private let path: String
  private let end = Mutex<UInt64>(0)

  /// - Parameter path: a file on the disk to use; the space is taken beside it.
  package init(besides path: String) throws(StorageError) {
    self.path = path
    let made = Leftover.make(besides: path) { openFile($0, O_RDWR | O_CREAT | O_EXCL, 0o600) }
    guard let made else { throw systemError("make a scratch file beside", file: path) }
    descriptor = made.descriptor
    unlink(made.path)
    UnfinishedOutputs.forget(made.path)
  }

  deinit { closeFile(descriptor) }

  /// Stores bytes; returns where.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(StorageError) -> UInt64 {
    let offset = end.withLock { end in
      defer { end += UInt64(bytes.count) }
      return end
    }
    try writeAll(bytes, to: descriptor, at: offset, path: path)
    return offset
  }

  /// Fills `destination` with what was stored at `offset`.
  package func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try readAll(into: destination, from: descriptor, at: offset, "a scratch file beside \(path)")
  }
}
