import Dispatch
import Synchronization
import TMPackByteIO
import TMPackParallel
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct OrderedPipelineTests {
  /// The consumer goes on while a job ahead is still at work, whatever becomes of it.
  @Test func nobodyWaitsForJobsAhead() throws {
    let isConsumed = DispatchSemaphore(value: 0)
    let wasAhead = Mutex(false)
    var consumed: [Int] = []
    try OrderedPipeline(threads: 2).run(10, isAwaited: { $0 != 0 }) { index throws(StorageError) -> Int in
      if index == 0 {
        // Comes back when the last job has been consumed.
        isConsumed.wait()
        wasAhead.withLock { $0 = true }
        throw StorageError(.malformed, "nobody is told")
      }
      return index
    } consume: { index, result in
      #expect(index == result)
      consumed.append(result)
      if index == 9 { isConsumed.signal() }
    }
    #expect(consumed == Array(1...9))
    #expect(wasAhead.withLock { $0 }, "what was begun is done when the pipeline ends")
    // One thread alone does without.
    try OrderedPipeline(threads: 1).run(2, isAwaited: { $0 != 0 }) { index in
      #expect(index == 1)
    } consume: { _, _ in
    }
  }

  @Test(arguments: 1...4, [0, 1, 2, 5, 300]) func consumesInOrder(_ threads: Int, _ count: Int) throws {
    var order: [Int] = []
    try OrderedPipeline(threads: threads).run(count) { index in
      index * index
    } consume: { index, square in
      #expect(square == index * index)
      order.append(index)
    }
    #expect(order == Array(0..<count))
  }

  /// Alive products are counted by their lifetimes.
  private final class Product: Sendable {
    let alive: Counter
    init(_ alive: Counter) {
      self.alive = alive
      alive.add(1)
    }
    deinit { alive.add(-1) }
  }

  private final class Counter: Sendable {
    private let state = Mutex((now: 0, most: 0))
    func add(_ change: Int) {
      state.withLock {
        $0.now += change
        $0.most = max($0.most, $0.now)
      }
    }
    var now: Int { state.withLock { $0.now } }
    var most: Int { state.withLock { $0.most } }
  }

  @Test(arguments: 1...4) func holdsAtMostOneProductMoreThanThreads(_ threads: Int) throws {
    let alive = Counter()
    try OrderedPipeline(threads: threads).run(500) { _ in
      Product(alive)
    } consume: { _, _ in
    }
    #expect(alive.now == 0)
    #expect(alive.most <= threads + 1)
  }

  @Test(arguments: 1...4) func throwsTheFirstErrorInOrder(_ threads: Int) {
    for round in 0..<50 {
      var consumed = 0
      let error = failure {
        try OrderedPipeline(threads: threads).run(100) { index throws(StorageError) in
          if index >= 20 { throw StorageError(.malformed, "\(index)") }
          return index
        } consume: { _, _ in
          consumed += 1
        }
      }
      #expect(error?.message == "20", "round \(round)")
      #expect(consumed == 20)
    }
  }

  @Test(arguments: 1...4) func stopsWhenTheConsumerThrows(_ threads: Int) {
    for _ in 0..<50 {
      let made = Counter()
      let result = code {
        try OrderedPipeline(threads: threads).run(1000) { _ in
          made.add(1)
        } consume: { index, _ throws(StorageError) in
          if index == 10 { throw StorageError(.inputOutput, "full") }
        }
      }
      #expect(result == .inputOutput)
      // No product is made after `run` returned, and no more than the window allows before.
      #expect(made.now <= 11 + threads + 1)
    }
  }
}

@Suite struct ConcurrentlyTests {
  private final class Tally: Sendable {
    private let state = Mutex((now: 0, most: 0, calls: [Int: Int]()))
    func enter(_ index: Int) {
      state.withLock {
        $0.now += 1
        $0.most = max($0.most, $0.now)
        $0.calls[index, default: 0] += 1
      }
    }
    func leave() { state.withLock { $0.now -= 1 } }
    var most: Int { state.withLock { $0.most } }
    var calls: [Int: Int] { state.withLock { $0.calls } }
  }

  @Test(arguments: [0, 1, 2, 7, 1000]) func callsEachOnce(_ count: Int) throws {
    let tally = Tally()
    try concurrently(count) { tally.enter($0) }
    #expect(tally.calls == Dictionary(uniqueKeysWithValues: (0..<count).map { ($0, 1) }))
    #expect(try mappedConcurrently(count) { $0 * $0 } == (0..<count).map { $0 * $0 })
  }

  /// Calls that wait for each other: a thread without a job must come.
  @Test(arguments: [1, 2, 5]) func threadsWithoutJobsHelp(_ jobs: Int) throws {
    try OrderedPipeline(threads: 2).run(jobs) { job throws(StorageError) in
      guard job == jobs - 1 else { return }
      let both = [DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)]
      try concurrently(2) { index throws(StorageError) in
        both[index].signal()
        guard both[1 - index].wait(timeout: .now() + 60) == .success else {
          throw StorageError(.inputOutput, "nobody came")
        }
      }
    } consume: { _, _ in
    }
  }

  /// Jobs that share their work, in calls that share theirs.
  @Test(arguments: [1, 2, 3, 8]) func neverRunsMoreThanThePipelinesThreads(_ threads: Int) throws {
    let tally = Tally()
    try OrderedPipeline(threads: threads).run(20) { job throws(StorageError) in
      try concurrently(5) { outer throws(StorageError) in
        try concurrently(4) { inner in
          tally.enter(job * 100 + outer * 10 + inner)
          usleep(50)
          tally.leave()
        }
      }
    } consume: { _, _ in
    }
    #expect(tally.calls.count == 400 && tally.calls.values.allSatisfy { $0 == 1 })
    #expect(tally.most <= threads)
  }

  @Test(arguments: [1, 2, 4]) func throwsTheFirstErrorOfAll(_ threads: Int) {
    for round in 0..<50 {
      let error = failure {
        try OrderedPipeline(threads: threads).run(3) { job throws(StorageError) in
          try concurrently(100) { index throws(StorageError) in
            if job == 1, index >= 20 { throw StorageError(.malformed, "\(index)") }
          }
        } consume: { _, _ in
        }
      }
      #expect(error?.message == "20", "round \(round)")
    }
  }
}
