import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file that grows at its end and outlives the process, however that ends: for work that is taken up again.
///
/// It is locked against other writers as long as the object lives. What was appended can be read, by any thread. After a
/// power cut its end may be missing or zero; whoever reads it must be able to tell.
package final class GrowingFile: PositionalReader {
  package let path: String
  private let file: LockedFile
  private let end: Mutex<UInt64>
  /// What the disk is told to write at a time.
  private static let partBytes: UInt64 = 8 << 20

  /// Opens the file, or makes an empty one.
  ///
  /// - Throws: `inputOutput` when another process holds the lock; `invalidArgument` for anything but a regular file.
  package init(_ path: String) throws(StorageError) {
    file = try LockedFile(path, creating: true)
    self.path = path
    end = Mutex(file.size)
  }

  private var descriptor: Int32 { file.descriptor }

  package var size: UInt64 { end.withLock { $0 } }

  /// Writes bytes at the end; returns where they begin.
  @discardableResult
  package func append(_ bytes: UnsafeRawBufferPointer) throws(StorageError) -> UInt64 {
    let offset = size
    try writeAll(bytes, to: descriptor, at: offset, path: path)
    let after = offset + UInt64(bytes.count)
    end.withLock { $0 = after }
    let part = Self.partBytes
    if after / part > offset / part {
      let start = offset / part * part
      beginSync(of: descriptor, at: start, count: Int(after / part * part - start))
    }
    return offset
  }

  @discardableResult
  package func append(_ bytes: [UInt8]) throws(StorageError) -> UInt64 {
    try bytes.withBytes { raw throws(StorageError) in try append(raw) }
  }

  package func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try readAll(into: destination, from: descriptor, at: offset, path, orThrow: .truncated)
  }

  /// Drops everything from `end` on.
  package func truncate(at newEnd: UInt64) throws(StorageError) {
    guard retrying({ ftruncate(descriptor, off_t(newEnd)) }) == 0 else { throw systemError("truncate", file: path) }
    end.withLock { $0 = newEnd }
  }

  /// Gives the finished file another name, durably.
  ///
  /// - Parameter replacing: whether a file of that name may be replaced.
  package func move(to target: String, replacing: Bool) throws(StorageError) {
    guard syncFile(descriptor) == 0 else { throw systemError("sync", file: path) }
    try AtomicFile.move(path, to: target, target, replacing: replacing)
    CommitNotes.appeared(target)
    CommitNotes.afterwards(target) { () throws(StorageError) in try FileTree.sync(folder: FileTree.parent(target)) }
  }

  /// Removes the file; it can be read as long as the object lives.
  package func remove() throws(StorageError) {
    guard unlink(path) == 0 else { throw systemError("remove", file: path) }
  }
}
