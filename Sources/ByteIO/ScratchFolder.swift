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

  /// - Parameter path: a file or folder on the disk to use; the scratch folder is made beside it.
  package init(besides path: String) throws(StorageError) {
    let temporary = UnfinishedOutputs.register(siblingOf: path)
    self.path = temporary
    guard mkdir(temporary, 0o700) == 0 else {
      let error = systemError("make a folder beside", file: path)
      UnfinishedOutputs.forget(temporary)
      throw error
    }
  }

  deinit {
    try? FileTree.remove(path)
    UnfinishedOutputs.forget(path)
  }
}
