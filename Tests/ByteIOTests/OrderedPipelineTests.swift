import ByteIO
import Parallel
import Synchronization
import TestSupport
import Testing

@Suite struct OrderedPipelineTests {
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
