#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which file has a name, and since when it is as it is: tells whether one that is read stays the same meanwhile.
package struct FileStamp: Sendable, Hashable {
  package let path: String
  private let device: UInt64
  private let inode: UInt64
  private let size: Int64
  /// Of the last change of its content, in nanoseconds.
  private let modified: Int64

  /// - Throws: `notFound` or `inputOutput`.
  package init(of path: String) throws(StorageError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw systemError("examine", file: path) }
    self.init(path, status)
  }

  init(_ path: String, _ status: stat) {
    self.path = path
    device = UInt64(truncatingIfNeeded: status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    modified = Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }

  /// Throws `inputOutput` unless the file of that name is still the same one, unchanged.
  package func check() throws(StorageError) {
    guard let now = try? FileStamp(of: path), now == self else {
      throw StorageError(
        .inputOutput, "changed while it was read; try again when nothing writes it any more", file: path)
    }
  }
}

extension [FileStamp] {
  /// Throws `inputOutput` for the first file that is not what it was.
  package func check() throws(StorageError) { for stamp in self { try stamp.check() } }
}
