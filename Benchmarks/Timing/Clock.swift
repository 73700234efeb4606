#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the benchmarks measure time by.
package enum Clock: Sendable {
  /// CPU time of the thread that asks.
  case thread
  /// CPU time of all threads: on a busy machine the same as on an idle one.
  case process
  case wall

  /// What `body` takes, in seconds: the best of some rounds.
  package func seconds(rounds: Int = 1, _ body: () throws -> Void) rethrows -> Double {
    var best = Double.infinity
    for _ in 0..<rounds {
      let start = now
      try body()
      best = min(best, now - start)
    }
    return best
  }

  private var now: Double {
    var time = timespec()
    switch self {
    case .thread: clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    case .process: clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    case .wall: clock_gettime(CLOCK_MONOTONIC, &time)
    }
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
