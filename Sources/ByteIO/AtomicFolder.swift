#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder that appears whole or not at all: filled beside its name, then renamed.
public final class AtomicFolder {
  public let path: String
  /// Where to write the files until `commit()`.
  public let staging: String
  private let replacing: Bool
  private var finished = false

  /// - Throws: `outputExists` when `path` holds something and `replacing` is false.
  public init(_ path: String, replacing: Bool = false) throws(StorageError) {
    var name = path
    while name.count > 1, name.hasSuffix("/") { name.removeLast() }
    switch FileTree.kind(of: name) {
    case nil: break
    case .folder:
      if !replacing, try !FileTree.names(in: name).isEmpty {
        throw StorageError(.outputExists, "is a folder with files in it; --force replaces it", file: path)
      }
    default:
      throw StorageError(.outputExists, "exists and is not a folder", file: path)
    }
    self.path = name
    self.replacing = replacing
    staging = TemporaryPaths.register(siblingOf: name)
    do { try FileTree.makeFolder(staging) } catch {
      TemporaryPaths.forget(staging)
      throw error
    }
  }

  deinit {
    if !finished {
      try? FileTree.remove(staging)
      TemporaryPaths.forget(staging)
    }
  }

  /// Puts the folder in place. An older one of that name is set aside first and removed last.
  public func commit() throws(StorageError) {
    var aside: String?
    if FileTree.kind(of: path) != nil, try !FileTree.names(in: path).isEmpty {
      guard replacing else {
        throw StorageError(.outputExists, "appeared while it was being written; --force replaces it", file: path)
      }
      let old = TemporaryPaths.register(siblingOf: path)
      // Not ours to delete on an interrupt: it is the user's until the new folder is in place.
      TemporaryPaths.forget(old)
      guard rename(path, old) == 0 else { throw systemError("set aside", file: path) }
      aside = old
    }
    try FileTree.sync(folder: staging)
    guard rename(staging, path) == 0 else {
      let error = systemError("rename into place", file: path)
      if let aside { _ = rename(aside, path) }
      throw error
    }
    finished = true
    TemporaryPaths.forget(staging)
    if let aside { try FileTree.remove(aside) }
    try FileTree.sync(folder: FileTree.parent(path))
  }
}
