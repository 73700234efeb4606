import TMPackCSystem

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How the bytes of a file come into memory.
public enum InputMode: String, Sendable, CaseIterable {
  /// `mmap`, but `read` on network file systems, where page faults are tens of times slower.
  case automatic
  case mmap
  case read
}

/// A regular file, open for positional reads from any thread.
package final class ReadableFile: Sendable {
  package let path: String
  package let size: UInt64
  let descriptor: Int32
  nonisolated(unsafe) private let mapping: UnsafeRawBufferPointer?
  /// Where the bytes begin in what is open: not at its start in a part of a file.
  private let base: UInt64
  /// What gives the bytes where there is no file here.
  private let fetch: Fetch?
  /// What owns the descriptor and the mapping, where this is a part of it.
  nonisolated(unsafe) private let whole: AnyObject?

  /// Fills the memory with the bytes from an offset on, of several threads at once.
  package typealias Fetch = @Sendable (UInt64, UnsafeMutableRawBufferPointer) throws(StorageError) -> Void

  /// - Throws: `notFound` or `inputOutput`; `invalidArgument` for anything that is not a regular file.
  package init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    // O_NONBLOCK: opening a named pipe must not wait for a writer; it means nothing to a regular file.
    descriptor = openFile(path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else { throw systemError("open", file: path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = systemError("examine", file: path)
      closeFile(descriptor)
      throw error
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      closeFile(descriptor)
      throw StorageError(.invalidArgument, "is not a regular file", file: path)
    }
    self.path = path
    size = UInt64(status.st_size)
    (base, fetch, whole) = (0, nil, nil)
    let maps = mode == .mmap || (mode == .automatic && !isOnNetwork(descriptor))
    guard maps, size > 0, let count = Int(exactly: size) else {
      mapping = nil
      return
    }
    let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let start, start != MAP_FAILED else {
      let error = systemError("map", file: path)
      closeFile(descriptor)
      throw error
    }
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    mapping = bytes
    MappedInputs.add(bytes, path)
  }

  /// A part of `file`, as if it were a file: its first byte is byte 0.
  ///
  /// - Throws: `truncated` when the file ends before.
  package init(part range: (offset: UInt64, count: UInt64), of file: ReadableFile) throws(StorageError) {
    guard let count = Int(exactly: range.count) else {
      throw StorageError(.truncated, "the file ends before", file: file.path, offset: file.size)
    }
    try file.checkRange(range.offset, count)
    path = file.path
    size = range.count
    descriptor = file.descriptor
    fetch = file.fetch
    base = file.base + range.offset
    whole = file
    mapping = file.mapping.map { UnsafeRawBufferPointer(rebasing: $0[Int(range.offset)..<Int(range.offset) + count]) }
  }

  /// Bytes in memory, as if they were a file.
  ///
  /// - Parameter path: of the file that they come from.
  package init(_ bytes: UnsafeRawBufferPointer, keeping owner: AnyObject, path: String) {
    self.path = path
    size = UInt64(bytes.count)
    descriptor = -1
    fetch = nil
    base = 0
    whole = owner
    mapping = bytes
  }

  /// Bytes that are elsewhere, as if they were a file.
  ///
  /// - Parameter path: what messages call them.
  package init(_ path: String, size: UInt64, fetch: @escaping Fetch) {
    self.path = path
    self.size = size
    self.fetch = fetch
    descriptor = -1
    base = 0
    whole = nil
    mapping = nil
  }

  deinit {
    guard whole == nil, descriptor >= 0 else { return }
    if let mapping {
      MappedInputs.remove(mapping)
      munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count)
    }
    closeFile(descriptor)
  }

  /// Opens the file anew under a lock that excludes writers, and gives that up again at once.
  ///
  /// - Parameter body: what has to be read meanwhile: little, since a writer that comes now must wait.
  package static func atRest<Result>(
    _ path: String, mode: InputMode, _ body: (ReadableFile) throws(StorageError) -> Result
  ) throws(StorageError) -> (isBeingWritten: Bool, result: Result?) {
    let file = try ReadableFile(path, mode: mode)
    guard retrying({ flock(file.descriptor, LOCK_SH | LOCK_NB) }) == 0 else { return (errno == EWOULDBLOCK, nil) }
    defer { _ = retrying { flock(file.descriptor, LOCK_UN) } }
    return (false, try body(ReadableFile(path, mode: mode)))
  }

  package var isMapped: Bool { mapping != nil }

  /// Whether the bytes come from elsewhere, where they may change at any time.
  package var isFetched: Bool { fetch != nil }

  /// Fills `destination` with the bytes from `offset` on.
  /// - Throws: `truncated` when the file ends before.
  package func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try checkRange(offset, destination.count)
    if let mapping {
      let start = Int(offset)
      destination.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: mapping[start..<start + destination.count]))
      return
    }
    try copy(at: offset, into: destination)
  }

  /// `read` without the mapping.
  func copy(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try checkRange(offset, destination.count)
    if let fetch {
      if !destination.isEmpty { try fetch(base + offset, destination) }
      return
    }
    if descriptor < 0 { return try read(at: offset, into: destination) }
    try readAll(into: destination, from: descriptor, at: base + offset, path)
  }

  /// Calls `body` with `count` bytes from `offset` on: a view of the mapping, or a copy that lives for the call.
  package func withBytes<Result>(
    at offset: UInt64, count: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try checkRange(offset, count)
    if let mapping {
      let start = Int(offset)
      return try body(UnsafeRawBufferPointer(rebasing: mapping[start..<start + count]))
    }
    try Resources.checkMemory(count)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { copy.deallocate() }
    try read(at: offset, into: copy)
    return try body(UnsafeRawBufferPointer(copy))
  }

  /// `count` bytes of the mapping, valid as long as the file object; nil when it is not mapped.
  ///
  /// The system is told that many of them will be needed, so that it reads ahead while the caller goes on.
  package func mappedBytes(at offset: UInt64, count: Int) throws(StorageError) -> UnsafeRawBufferPointer? {
    try checkRange(offset, count)
    guard let mapping else { return nil }
    let start = Int(offset)
    let view = UnsafeRawBufferPointer(rebasing: mapping[start..<start + count])
    // Few are read ahead with their neighbours; telling would cost more than they.
    guard count >= 64 << 10 else { return view }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let aligned = start - start % page
    madvise(
      UnsafeMutableRawPointer(mutating: mapping.baseAddress! + aligned), start + count - aligned, MADV_WILLNEED)
    return view
  }

  package func bytes(at offset: UInt64, count: Int) throws(StorageError) -> [UInt8] {
    try withBytes(at: offset, count: count) { raw in [UInt8](raw) }
  }

  private func checkRange(_ offset: UInt64, _ count: Int) throws(StorageError) {
    guard count >= 0, offset <= size, UInt64(count) <= size - offset else {
      throw StorageError(
        .truncated, "needs \(count) bytes, the file ends at byte \(size)", file: path, offset: offset)
    }
  }
}

func isOnNetwork(_ descriptor: Int32) -> Bool {
  #if os(Linux)
    var status = statfs()
    guard fstatfs(descriptor, &status) == 0 else { return false }
    // NFS, SMB, SMB2, CIFS, CODA, AFS, 9P, FUSE (sshfs, s3fs, …), Ceph, Lustre, BeeGFS, GPFS: linux/magic.h and the vendors'.
    let magics: Set<UInt32> = [
      0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42, 0x7375_7245, 0x5346_414F, 0x0102_1997, 0x6573_5546,
      0x00C3_6400, 0x0BD0_0BD0, 0x1983_0326, 0x4750_4653,
    ]
    return magics.contains(UInt32(truncatingIfNeeded: status.f_type))
  #elseif canImport(Darwin)
    var status = statfs()
    return fstatfs(descriptor, &status) == 0 && status.f_flags & UInt32(MNT_LOCAL) == 0
  #else
    return false
  #endif
}
