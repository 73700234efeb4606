import Dispatch
import TMPack

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Makes Ctrl-C and `kill` leave no partial output behind.
enum Interrupts {
  nonisolated(unsafe) private static var sources: [any DispatchSourceSignal] = []

  /// Call once, before anything is written.
  static func install() {
    // A closed pipe is an error of `write`, so that temporary files are removed on it, too.
    signal(SIGPIPE, SIG_IGN)
    for number in [SIGINT, SIGTERM] {
      // The signal comes to the source's thread, where files may be removed; the default action must not come first.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        TemporaryPaths.removeAll()
        Console.talk("tmpack: interrupted")
        // Not `exit`: its handlers must not run beside working threads.
        _exit(128 + number)
      }
      source.resume()
      sources.append(source)
    }
  }
}
