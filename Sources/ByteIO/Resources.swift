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

  /// Throws `outOfMemory` where the system would refuse so many bytes in one piece: because of a limit (`ulimit -v`), or as more
  /// than it has. Small pieces are not asked for.
  @inlinable
  package static func checkMemory(_ byteCount: Int) throws(StorageError) {
    if byteCount >= 64 << 20 { try probe(byteCount) }
  }

  @usableFromInline
  static func probe(_ byteCount: Int) throws(StorageError) {
    // Not malloc: an optimiser takes away what is freed at once, and with it the refusal.
    #if canImport(Darwin)
      let anonymous = MAP_PRIVATE | MAP_ANON
    #else
      let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
    #endif
    if let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, anonymous, -1, 0), memory != MAP_FAILED {
      munmap(memory, byteCount)
      return
    }
    let megabytes = (byteCount + 999_999) / 1_000_000
    var limit = ""
    var own = rlimit()
    #if canImport(Glibc)
      let kind = __rlimit_resource_t(RLIMIT_AS.rawValue)
    #else
      let kind = RLIMIT_AS
    #endif
    if getrlimit(kind, &own) == 0, own.rlim_cur < 1 << 60 {
      limit = ", and ulimit -v allows \(own.rlim_cur / 1_000_000) MB for all of it"
    }
    throw StorageError(
      .outOfMemory,
      "needs \(megabytes) MB of memory in one piece, which the system refuses: it has \(memoryBytes / 1_000_000) MB\(limit)"
    )
  }

  /// What an ordinary user may still write to the file system of `path`.
  package static func freeDiskBytes(at path: String) throws(StorageError) -> UInt64 {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw systemError("examine the file system of", file: path) }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }
}
