#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A child of `fork` has none of its parent's threads, and may have been forked while some held locks of the allocator or of the
/// BLAS. It works on the thread that it has; most are one of several, such as the workers of a data loader.
enum Fork {
  /// The process that asked first.
  private static let process = getpid()

  /// Whether threads may have been started before the process was forked. Ask before any is.
  static var hasLostThreads: Bool { getpid() != process }
}
