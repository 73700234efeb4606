#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file that appears whole or not at all: written beside its name, synced, then renamed.
///
/// Dropped before `commit()`, it removes what it wrote.
package final class AtomicFile: OverwritableSink {
  /// Where it will appear, in the end.
  package let path: String
  public private(set) var position: UInt64 = 0
  /// Where it is renamed to: `path`, or a place in a folder that will be `path`'s.
  private let target: String
  private let temporary: String
  private var descriptor: Int32
  private let replacing: Bool
  /// The file that it takes the place of, when that one is written anew.
  private let predecessor: LockedFile?
  /// What the disk is given at a time: whole pages, and many, so that it writes them in one go.
  private static let partBytes = 4 << 20

  /// A new file.
  ///
  /// - Parameters:
  ///   - replacing: whether an existing file may be replaced. Nothing but files ever is; of a link to one only the link is,
  ///     since others may need what it leads to.
  ///   - temporary: where to write until it is whole, for a caller that knows that no other process writes there: what one that
  ///     was killed has left is overwritten then. By default a new name each time.
  /// - Throws: `outputExists`, `notFound` (no such folder) or `inputOutput`.
  package convenience init(
    _ path: String, replacing: Bool = false, temporary: String? = nil
  ) throws(StorageError) {
    try self.init(path, writtenTo: path, replacing: replacing, temporary: temporary)
  }

  /// An existing file, written anew: it keeps its permissions, its owner if the system allows that, and the links that
  /// lead to it. It is locked against other writers as long as this object lives.
  ///
  /// - Throws: `inputOutput` when another process holds the lock, here, or has replaced the file, in `commit()`.
  package convenience init(rewriting path: String) throws(StorageError) {
    let predecessor = try LockedFile(path)
    try self.init(path, writtenTo: FileTree.resolved(path), replacing: true, predecessor: predecessor)
  }

  /// - Parameters:
  ///   - path: what errors name.
  ///   - target: the file to make.
  init(
    _ path: String, writtenTo target: String, replacing: Bool = false, temporary own: String? = nil,
    predecessor: consuming LockedFile? = nil
  ) throws(StorageError) {
    self.path = path
    self.target = target
    self.replacing = replacing
    try Self.check(target, path, replacing: replacing)
    if let own {
      temporary = own
      UnfinishedOutputs.register(own)
      // Not truncated: a link or another's file of the name is removed, not written through.
      unlink(own)
    } else {
      temporary = UnfinishedOutputs.register(siblingOf: target)
    }
    // For its owner alone until it has the other's rights: who opens it now reads what is written later.
    let permissions: mode_t = predecessor == nil ? 0o666 : 0o600
    self.predecessor = predecessor
    descriptor = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, permissions)
    guard descriptor >= 0 else {
      let error = creationError(file: path)
      UnfinishedOutputs.forget(temporary)
      throw error
    }
    do throws(StorageError) { try self.predecessor?.giveRights(to: descriptor, path) } catch {
      discard()
      throw error
    }
  }

  /// Refuses what a file must not replace: anything, or anything but a file.
  static func check(_ target: String, _ path: String, replacing: Bool) throws(StorageError) {
    if !replacing, FileTree.kind(of: target, followingLinks: false) != nil {
      throw StorageError(.outputExists, "exists already; --force replaces it", file: path)
    }
    switch FileTree.kind(of: target) {
    case nil where path.hasSuffix("/"):
      throw StorageError(.invalidArgument, "is to be a file, and named as a folder", file: path)
    case nil, .file, .link: break
    case .folder: throw StorageError(.outputExists, "is a folder", file: path)
    case .other: throw StorageError(.outputExists, "is a device, a pipe or a socket, and is not replaced", file: path)
    }
  }

  deinit { discard() }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    try inParts(bytes.count) { part throws(StorageError) in
      try writeAll(UnsafeRawBufferPointer(rebasing: bytes[part]), to: descriptor, at: position, path: path)
    }
  }

  /// Writes `count` bytes in parts, and hands each part of the file that is full to the disk: it works while the next are
  /// made, and `commit()` waits for little more than the last of them.
  private func inParts(_ count: Int, write: (Range<Int>) throws(StorageError) -> Void) throws(StorageError) {
    var done = 0
    while done < count {
      let room = Self.partBytes - Int(position % UInt64(Self.partBytes))
      let part = done..<min(count, done + room)
      try write(part)
      done = part.upperBound
      position += UInt64(part.count)
      guard part.count == room else { continue }
      beginSync(of: descriptor, at: position - UInt64(Self.partBytes), count: Self.partBytes)
    }
  }

  package func overwrite(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    precondition(offset + UInt64(bytes.count) <= position, "overwrites only what was written")
    try bytes.withBytes { raw throws(StorageError) in
      try writeAll(raw, to: descriptor, at: offset, path: path)
    }
  }

  /// Where what has been written can be read back until `commit()`.
  package var readablePath: String { temporary }

  /// Makes the file appear under its name, durably.
  package func commit() throws(StorageError) {
    precondition(descriptor >= 0, "commits once")
    guard fsync(descriptor) == 0 else { throw systemError("sync", file: path) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw systemError("close", file: path) }
    try predecessor?.checkName(path)
    try Self.move(temporary, to: target, path, replacing: replacing)
    UnfinishedOutputs.forget(temporary)
    try FileTree.sync(folder: FileTree.parent(target))
  }

  /// Gives a finished file its name.
  static func move(
    _ temporary: String, to target: String, _ path: String, replacing: Bool
  ) throws(StorageError) {
    if replacing {
      // Again: it may have become a pipe, which a rename would silently replace.
      try check(target, path, replacing: true)
      guard rename(temporary, target) == 0 else { throw systemError("rename into place", file: path) }
    } else {
      // link() refuses an existing name, which rename() would silently replace.
      if link(temporary, target) == 0 {
        unlink(temporary)
      } else if errno == EEXIST {
        throw StorageError(.outputExists, "appeared while it was being written; --force replaces it", file: path)
      } else {
        // A file system without hard links.
        guard rename(temporary, target) == 0 else { throw systemError("rename into place", file: path) }
      }
    }
  }

  private func discard() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
    unlink(temporary)
    UnfinishedOutputs.forget(temporary)
  }
}
