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

  /// What an ordinary user may still write to the file system of `path`.
  package static func freeDiskBytes(at path: String) throws(StorageError) -> UInt64 {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw systemError("examine the file system of", file: path) }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }
}
