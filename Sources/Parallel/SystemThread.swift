#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A thread that runs one function and ends.
///
/// Not one of Dispatch: it opens descriptors with its first job and ends the process where there is none left, and where no
/// thread can be had it tries for ever.
package enum SystemThread {
  /// Whether there is a thread that runs `body`; if not, it never runs.
  ///
  /// Signals go to other threads, as a program that hosts this library expects.
  package static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    var mask = sigset_t()
    sigfillset(&mask)
    // These are about what the thread itself does.
    for number in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] { sigdelset(&mask, number) }
    var original = sigset_t()
    pthread_sigmask(SIG_SETMASK, &mask, &original)
    defer { pthread_sigmask(SIG_SETMASK, &original, nil) }
    let work = Unmanaged.passRetained(Work(body))
    let result = pthread_create(
      &thread, nil,
      { raw in
        pthread_detach(pthread_self())
        #if canImport(Darwin)
          let work = raw
        #else
          let work = raw!
        #endif
        Unmanaged<Work>.fromOpaque(work).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    if result != 0 { work.release() }
    return result == 0
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
