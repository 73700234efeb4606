#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A child of `fork` has none of its parent's threads, and Dispatch waits for those that it had started: once there may
/// have been some, a child works on the thread that it has.
enum Fork {
  /// The process that asked first.
  private static let process = getpid()

  /// Whether threads may have been started before the process was forked. Ask before any is.
  static var hasLostThreads: Bool { getpid() != process }
}
