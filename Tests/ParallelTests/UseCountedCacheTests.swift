import Synchronization
import TMPackByteIO
import TMPackParallel
import TestSupport
import Testing

@Suite struct UseCountedCacheTests {
  private final class Value: Sendable {}

  @Test func eachValueIsMadeOnceAndLetGoAfterItsLastUse() throws {
    let loans = UseCountedCache<String, Value>(for: ["a", "b", "a"])
    let made = Mutex<[String]>([])
    func borrow(_ key: String) throws -> Value {
      try loans.borrow(key) {
        made.withLock { $0.append(key) }
        return Value()
      }
    }
    weak var first: Value?
    do {
      let value = try borrow("a")
      first = value
      #expect(try borrow("a") === value)
    }
    loans.giveBack("a")
    #expect(first != nil)
    loans.giveBack("a")
    #expect(first == nil)
    _ = try borrow("b")
    #expect(made.withLock { $0 } == ["a", "b"])
  }

  @Test func aFailureIsForWhoeverMetIt() throws {
    let loans = UseCountedCache<Int, Value>(uses: [1: 1])
    #expect(
      code { _ = try loans.borrow(1) { () throws(StorageError) in throw StorageError(.malformed, "no") } } == .malformed
    )
    _ = try loans.borrow(1) { Value() }
  }

  /// What is made ahead waits for its uses, and is not made when they are over.
  @Test func preparingIsNoUse() throws {
    let loans = UseCountedCache<Int, Value>(uses: [1: 1])
    weak var ahead: Value?
    try loans.prepare(1) {
      let value = Value()
      ahead = value
      return value
    }
    #expect(ahead != nil)
    _ = try loans.borrow(1) { () throws(StorageError) in throw StorageError(.malformed, "made twice") }
    loans.giveBack(1)
    #expect(ahead == nil)
    for key in [1, 2] {
      try loans.prepare(key) { () throws(StorageError) in throw StorageError(.malformed, "made for nobody") }
    }
  }

  @Test func othersWaitForWhoMakesIt() throws {
    let loans = UseCountedCache<Int, Int>(uses: [0: 100])
    let made = Atomic(0)
    try OrderedPipeline(threads: 4).run(100) { _ throws(StorageError) in
      let value = try loans.borrow(0) { made.add(1, ordering: .relaxed).newValue }
      loans.giveBack(0)
      return value
    } consume: { _, value in
      #expect(value == 1)
    }
    #expect(made.load(ordering: .relaxed) == 1)
  }
}
