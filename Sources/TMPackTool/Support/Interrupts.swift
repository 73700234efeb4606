import TMPackByteIO
import TMPackParallel

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Makes Ctrl-C, `kill` and a closed terminal leave no partial output behind.
enum Interrupts {
  /// Signals that were not blocked before `install`: what a program that is run has to begin with.
  nonisolated(unsafe) private(set) static var originalMask = sigset_t()

  /// What is said of what was done. Set it before the work begins.
  nonisolated(unsafe) static var remark: String?

  /// Call once, before anything is written.
  static func install() {
    // A closed pipe and a limit on the size of files are errors of `write`, so that temporary files are removed on them, too.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    var awaited = sigset_t()
    sigemptyset(&awaited)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var previous = sigaction()
      sigaction(number, nil, &previous)
      // As `nohup` wants it.
      if number == SIGHUP, isIgnored(previous) { continue }
      signal(number, SIG_DFL)
      sigaddset(&awaited, number)
    }
    // A thread of its own waits for them, where files may be removed. It needs no descriptors, as sources of signals do. All
    // threads that there will be have the mask of this one.
    pthread_sigmask(SIG_BLOCK, &awaited, &originalMask)
    let signals = awaited
    if !SystemThread.start({ wait(for: signals) }) { pthread_sigmask(SIG_SETMASK, &originalMask, nil) }
  }

  private static func wait(for signals: sigset_t) -> Never {
    var signals = signals
    var number: Int32 = 0
    while sigwait(&signals, &number) != 0 {}
    UnfinishedOutputs.undoAll {
      if Console.isDrawing { Console.draw("\n") }
      Console.talk("tmpack: interrupted" + (remark.map { "; \($0)" } ?? ""))
      // Not `exit`: its handlers must not run beside working threads.
      _exit(128 + number)
    }
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    #if canImport(Darwin)
      unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    #else
      unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    #endif
  }
}
