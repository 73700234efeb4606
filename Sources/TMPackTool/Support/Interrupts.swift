import Dispatch
import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Makes Ctrl-C, `kill` and a closed terminal leave no partial output behind.
enum Interrupts {
  nonisolated(unsafe) private static var sources: [any DispatchSourceSignal] = []

  /// Call once, before anything is written.
  static func install() {
    // A closed pipe and a limit on the size of files are errors of `write`, so that temporary files are removed on them, too.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      // The signal comes to the source's thread, where files may be removed; the default action must not come first.
      var previous = sigaction()
      sigaction(number, nil, &previous)
      signal(number, SIG_IGN)
      // As `nohup` wants it.
      if number == SIGHUP, isIgnored(previous) { continue }
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        UnfinishedOutputs.undoAll {
          Console.talk("tmpack: interrupted")
          // Not `exit`: its handlers must not run beside working threads.
          _exit(128 + number)
        }
      }
      source.resume()
      sources.append(source)
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
