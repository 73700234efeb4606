#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Every shard of every checkpoint is an open file. By default a process may have 1024 of them, on macOS 256, though the
/// system would allow more to one that asks.
enum OpenFiles {
  /// Enough for any number of shards, and few enough for programs that go through all descriptors that there may be.
  private static let enough: rlim_t = 1 << 16

  /// Call once, before files are opened. Where the system refuses, the limit stays.
  static func raiseLimit() {
    #if canImport(Glibc)
      let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
      let kind = RLIMIT_NOFILE
    #endif
    #if canImport(Darwin)
      // Whatever the hard limit says, more are refused.
      let most = min(enough, rlim_t(OPEN_MAX))
    #else
      let most = enough
    #endif
    var limit = rlimit()
    guard getrlimit(kind, &limit) == 0, limit.rlim_cur < min(most, limit.rlim_max) else { return }
    limit.rlim_cur = min(most, limit.rlim_max)
    _ = setrlimit(kind, &limit)
  }
}
