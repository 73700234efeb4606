import ByteIO
import Dispatch
import Synchronization

/// Jobs that run on several threads and whose results are consumed in order on the caller's.
///
/// The output therefore does not depend on the number of threads, and no more than `threads + 1` results
/// exist at once, which bounds the memory.
public struct OrderedPipeline: Sendable {
  public let threads: Int

  /// - Parameter threads: at least 1; more than the machine has cores gains nothing.
  public init(threads: Int) { self.threads = max(1, threads) }

  /// As many threads as the process may use cores.
  public static var automatic: OrderedPipeline { OrderedPipeline(threads: availableCores()) }

  /// Calls `produce(i)` for every i in 0 ..< count, on any thread, and `consume(i, result)` in increasing i, here.
  ///
  /// - Throws: the first error in the order of i; jobs after it are abandoned.
  public func run<Product: Sendable>(
    _ count: Int,
    produce: @escaping @Sendable (Int) throws(StorageError) -> Product,
    consume: (Int, Product) throws(StorageError) -> Void
  ) throws(StorageError) {
    if threads == 1 || count <= 1 {
      for index in 0..<count { try consume(index, try produce(index)) }
      return
    }
    let shared = SharedState<Product>(count: count, window: threads + 1)
    let group = DispatchGroup()
    let queue = DispatchQueue(label: "tmpack.pipeline", attributes: .concurrent)
    for _ in 0..<min(threads, count) {
      queue.async(group: group) { shared.work(produce) }
    }
    defer { group.wait() }
    // On an error, stop the workers before waiting for them.
    defer { shared.stop() }
    for index in 0..<count {
      try consume(index, try shared.take(index))
      shared.window.signal()
    }
  }
}

/// What the workers and the consumer share.
private final class SharedState<Product: Sendable>: Sendable {
  private struct State {
    var next = 0
    var stopped = false
    var results: [Int: Result<Product, StorageError>] = [:]
  }
  private let state = Mutex(State())
  private let ready: [DispatchSemaphore]
  private let count: Int
  /// Free places for results that are made or being made.
  let window: DispatchSemaphore

  init(count: Int, window: Int) {
    self.count = count
    // One semaphore per place of the window: job i signals place i mod window.
    ready = (0..<window).map { _ in DispatchSemaphore(value: 0) }
    self.window = DispatchSemaphore(value: 0)
    for _ in 0..<window { self.window.signal() }
  }

  func work(_ produce: (Int) throws(StorageError) -> Product) {
    while true {
      window.wait()
      let index: Int? = state.withLock { state in
        guard !state.stopped, state.next < count else { return nil }
        defer { state.next += 1 }
        return state.next
      }
      guard let index else {
        window.signal()  // Let the other workers see the end too.
        return
      }
      make(index, produce)
      ready[index % ready.count].signal()
    }
  }

  /// Leaves the result for `take`. A function of its own, so that this thread has let go of the product before the
  /// consumer hears of it: else the product could outlive its consumption, beyond the window.
  @inline(never)
  private func make(_ index: Int, _ produce: (Int) throws(StorageError) -> Product) {
    let result: Result<Product, StorageError>
    do throws(StorageError) { result = .success(try produce(index)) } catch { result = .failure(error) }
    state.withLock { $0.results[index] = result }
  }

  func take(_ index: Int) throws(StorageError) -> Product {
    ready[index % ready.count].wait()
    let result = state.withLock { $0.results.removeValue(forKey: index)! }
    return try result.get()
  }

  func stop() {
    state.withLock { $0.stopped = true }
    window.signal()
  }
}
