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
package final class AtomicFile: OverwritableSink, StagedOutput {
  /// Where it will appear, in the end.
  package let path: String
  package private(set) var position: UInt64 = 0
  /// Where it is renamed to: `path`, or a place in a folder that will be `path`'s.
  private let target: String
  private let temporary: String
  private var descriptor: Int32
  private let replacing: Bool
  /// Whether it lies in a folder that will appear as a whole, and is that one's to clean and to sync.
  private let isStaged: Bool
  /// What `temporary` is in, if it is in a folder of its own.
  private var holder: ScratchFolder?
  private var hasExchanged = false
  private var isFinished = false
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
  ///   - keepingName: whether what is written has the file's own name, in a folder that goes with it.
  /// - Throws: `outputExists`, `notFound` (no such folder) or `inputOutput`.
  package convenience init(
    _ path: String, replacing: Bool = false, temporary: String? = nil, keepingName: Bool = false
  ) throws(StorageError) {
    try self.init(path, writtenTo: path, replacing: replacing, temporary: temporary, keepingName: keepingName)
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
  ///   - isStaged: whether that lies in a folder which will appear as a whole.
  init(
    _ path: String, writtenTo target: String, isStaged: Bool = false, replacing: Bool = false,
    temporary own: String? = nil, keepingName: Bool = false, predecessor: consuming LockedFile? = nil
  ) throws(StorageError) {
    self.path = path
    self.target = target
    self.replacing = replacing
    self.isStaged = isStaged
    try Self.check(target, path, replacing: replacing)
    // For its owner alone until it has the other's rights: who opens it now reads what is written later.
    let permissions: mode_t = predecessor == nil ? 0o666 : 0o600
    self.predecessor = predecessor
    if !isStaged, own == nil { Leftover.clear(besides: target) }
    holder = keepingName ? try ScratchFolder(besides: target) : nil
    func open(_ temporary: String) -> Int32 { openFile(temporary, O_RDWR | O_CREAT | O_EXCL, permissions) }
    if let own {
      temporary = own
      UnfinishedOutputs.register(own)
      // Not truncated: a link or another's file of the name is removed, not written through.
      unlink(own)
      descriptor = open(own)
    } else if let holder {
      temporary = FileTree.join(holder.path, FileTree.lastComponent(target))
      descriptor = open(temporary)
    } else {
      (temporary, descriptor) = Leftover.make(besides: target, open) ?? ("", -1)
    }
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
      throw StorageError(.outputExists, "exists already", file: path).with(.replace)
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

  package func settle() throws(StorageError) {
    precondition(descriptor >= 0, "commits once")
    guard syncFile(descriptor) == 0 else { throw systemError("sync", file: path) }
    try predecessor?.checkName(path)
  }

  package func appear(keepingOld: Bool) throws(StorageError) {
    try predecessor?.checkName(path)
    if replacing, keepingOld {
      try Self.check(target, path, replacing: true)
      if AtomicRename.exchanging(temporary, target) == .done {
        hasExchanged = true
        return
      }
    }
    try Self.move(temporary, to: target, path, replacing: replacing)
  }

  package func withdraw() {
    if hasExchanged {
      _ = AtomicRename.exchanging(temporary, target)
      hasExchanged = false
    } else {
      _ = rename(target, temporary)
    }
  }

  package func finish() {
    if hasExchanged { unlink(temporary) }
    UnfinishedOutputs.forget(temporary)
    holder = nil
    isFinished = true
    if !isStaged { CommitNotes.appeared(path) }
    CommitNotes.afterwards(path) { () throws(StorageError) in
      let closed = closeFile(descriptor)
      descriptor = -1
      guard closed == 0 else { throw systemError("close", file: path) }
      if !isStaged { try FileTree.sync(folder: FileTree.parent(target)) }
    }
  }

  /// Gives a finished file its name.
  static func move(
    _ temporary: String, to target: String, _ path: String, replacing: Bool
  ) throws(StorageError) {
    let appeared = StorageError(
      .outputExists, "appeared while it was being written", file: path
    ).with(.replace)
    if replacing {
      // Again: it may have become a pipe, which a rename would silently replace.
      try check(target, path, replacing: true)
      guard retrying({ rename(temporary, target) }) == 0 else { throw systemError("rename into place", file: path) }
      return
    }
    switch AtomicRename.withoutReplacing(temporary, target) {
    case .done: return
    case .failed: throw errno == EEXIST ? appeared : systemError("rename into place", file: path)
    case .unavailable: break
    }
    // link() refuses an existing name, too.
    if retrying({ link(temporary, target) }) == 0 {
      unlink(temporary)
      return
    }
    // A file system with neither: what appears in this instant is lost.
    guard errno != EEXIST, FileTree.kind(of: target, followingLinks: false) == nil else { throw appeared }
    guard retrying({ rename(temporary, target) }) == 0 else { throw systemError("rename into place", file: path) }
  }

  private func discard() {
    if descriptor >= 0 { closeFile(descriptor) }
    descriptor = -1
    guard !isFinished, !temporary.isEmpty else { return }
    unlink(temporary)
    UnfinishedOutputs.forget(temporary)
  }
}
