#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder for files that are needed for a while. It is removed with what is in it, also on an interrupt.
package final class ScratchFolder: Sendable {
  package let path: String
  /// Locked.
  private let descriptor: Int32

  /// - Parameter path: a file or folder on the disk to use; the scratch folder is made beside it.
  package init(besides path: String) throws(StorageError) {
    guard let made = Leftover.makeFolder(besides: path, permissions: 0o700) else {
      throw systemError("make a folder beside", file: path)
    }
    (self.path, descriptor) = made
  }

  deinit {
    try? FileTree.remove(path)
    UnfinishedOutputs.forget(path)
    closeFile(descriptor)
  }
}
