import TMPackCSystem

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the machine has.
package enum Resources {
  /// Physical memory.
  package static var memoryBytes: UInt64 {
    UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(getpagesize())
  }

  /// What `ulimit -v` leaves the process, if anything is limited.
  package static let addressSpaceLimit: Int? = {
    var own = rlimit()
    #if canImport(Glibc)
      let kind = __rlimit_resource_t(RLIMIT_AS.rawValue)
    #else
      let kind = RLIMIT_AS
    #endif
    return getrlimit(kind, &own) == 0 && own.rlim_cur < 1 << 60 ? Int(own.rlim_cur) : nil
  }()

  /// Pieces from here on are asked for. Where address space is limited, smaller ones too, and then there must be room beside them
  /// for all that is too small to be asked for: an allocation of Swift's that fails ends the process.
  @usableFromInline
  static let leastChecked = addressSpaceLimit == nil ? 64 << 20 : 1 << 20
  private static let room = addressSpaceLimit == nil ? 0 : 16 << 20

  /// Throws `outOfMemory` where the system would refuse so many bytes in one piece: because of a limit (`ulimit -v`), or as more
  /// than it has. Small pieces are not asked for.
  @inlinable
  package static func checkMemory(_ byteCount: Int) throws(StorageError) {
    if byteCount >= leastChecked { try probe(byteCount, pieces: 1) }
  }

  /// The same for several pieces of so many bytes that are to be there together.
  package static func checkMemory(_ byteCount: Int, pieces: Int) throws(StorageError) {
    try probe(byteCount, pieces: pieces)
  }

  /// Makes do with what `ulimit -v` allows. Call once, before there are threads.
  ///
  /// - Throws: `outOfMemory` where there is too little to work in.
  package static func prepareAddressSpace() throws(StorageError) {
    guard addressSpaceLimit != nil else { return }
    tmpack_use_one_arena()
    try probe(room, pieces: 1)
  }

  @usableFromInline
  static func probe(_ byteCount: Int, pieces: Int) throws(StorageError) {
    // Not malloc: an optimiser takes away what is freed at once, and with it the refusal.
    #if canImport(Darwin)
      let anonymous = MAP_PRIVATE | MAP_ANON
    #else
      let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
    #endif
    var mapped: [(memory: UnsafeMutableRawPointer, size: Int)] = []
    defer { for (memory, size) in mapped { munmap(memory, size) } }
    let sizes = repeatElement(byteCount, count: pieces) + (room > 0 ? [room] : [])
    for size in sizes {
      guard let memory = mmap(nil, size, PROT_READ | PROT_WRITE, anonymous, -1, 0), memory != MAP_FAILED else { break }
      mapped.append((memory, size))
    }
    if mapped.count == sizes.count { return }
    let megabytes = (byteCount + 999_999) / 1_000_000
    let what = pieces == 1 ? "in one piece" : "in each of \(pieces) pieces"
    let limit = addressSpaceLimit.map { ", and ulimit -v allows \($0 / 1_000_000) MB for all of it" } ?? ""
    throw StorageError(
      .outOfMemory,
      "needs \(megabytes) MB of memory \(what), which the system refuses: it has \(memoryBytes / 1_000_000) MB\(limit)"
    )
  }

  /// What an ordinary user may still write to the file system of `path`.
  package static func freeDiskBytes(at path: String) throws(StorageError) -> UInt64 {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw systemError("examine the file system of", file: path) }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }
}
