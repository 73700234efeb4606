#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What some bytes take in one form, and the CPU seconds to make it and to undo it.
struct Cost {
  var stored = 0
  var encoding = 0.0
  var decoding = 0.0
}

/// What `body` takes of CPU time, on whatever threads, in seconds: the best of some rounds.
func seconds(rounds: Int, _ body: () throws -> Void) rethrows -> Double {
  var best = Double.infinity
  for _ in 0..<rounds {
    let start = processTime()
    try body()
    best = min(best, processTime() - start)
  }
  return best
}

private func processTime() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
