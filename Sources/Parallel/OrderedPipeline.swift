import Dispatch
import Synchronization
import TMPackByteIO

/// Jobs that run on several threads and whose results are consumed in order on the caller's.
///
/// A thread without a job helps those that have one and share it: see `concurrently`.
///
/// The output therefore does not depend on the number of threads, and no more results than the window exist at once,
/// which bounds the memory.
public struct OrderedPipeline: Sendable {
  public let threads: Int
  private let window: Int
  /// Whether no more jobs are to be begun.
  private var isStopped: (@Sendable () -> Bool)?

  /// - Parameters:
  ///   - threads: at least 1; more than the machine has cores gains nothing.
  ///   - window: most jobs that are begun and whose results are not consumed; nil for one more than threads.
  public init(threads: Int, window: Int? = nil) {
    self.threads = max(1, threads)
    self.window = max(window ?? 0, self.threads + 1)
  }

  /// As many threads as the process may use cores.
  public static var automatic: OrderedPipeline { OrderedPipeline(threads: availableCores()) }

  /// Calls `produce(i)` for every i in 0 ..< count, on any thread, and `consume(i, result)` in increasing i, here.
  ///
  /// - Parameters:
  ///   - count: of the jobs.
  ///   - isAwaited: false for jobs that only get ready what later ones need, and do it themselves where it is not
  ///     ready: nobody waits for those, their results and errors are dropped, and one thread alone leaves them out.
  ///   - produce: a job; on several threads at once.
  ///   - consume: takes its result, on the caller's thread.
  /// - Throws: the first error in the order of i; jobs after it are abandoned.
  public func run<Product: Sendable>(
    _ count: Int,
    isAwaited: @escaping @Sendable (Int) -> Bool = { _ in true },
    produce: @escaping @Sendable (Int) throws(StorageError) -> Product,
    consume: (Int, Product) throws(StorageError) -> Void
  ) throws(StorageError) {
    guard count > 0 else { return }
    func runHere() throws(StorageError) {
      try ThreadTeam(threads: 0).asCurrent { () throws(StorageError) in
        for index in 0..<count where isAwaited(index) {
          try checkStop()
          try consume(index, try produce(index))
        }
      }
    }
    if threads == 1 || Fork.hasLostThreads { return try runHere() }
    let results = Results<Product>(window: window)
    let team = ThreadTeam(threads: threads, jobs: count, window: window) { index in
      if isAwaited(index) { results.make(index, produce) } else { _ = try? produce(index) }
    }
    guard team.start() else { return try runHere() }
    // On an error, the workers stop before they are waited for.
    defer { team.stop() }
    try team.asCurrent { () throws(StorageError) in
      for index in 0..<count {
        try checkStop()
        if isAwaited(index) { try consume(index, try results.take(index)) }
        team.consumedOne()
      }
    }
  }

  /// The same, but nothing more is begun once a function that is asked again and again says so: the run ends with
  /// `cancelled`.
  public func stopping(_ isStopped: @escaping @Sendable () -> Bool) -> OrderedPipeline {
    var pipeline = self
    pipeline.isStopped = isStopped
    return pipeline
  }

  private func checkStop() throws(StorageError) {
    if isStopped?() ?? false { throw StorageError(.cancelled, "was cancelled") }
  }
}

/// What the workers hand over to the consumer.
private final class Results<Product: Sendable>: Sendable {
  private let results = Mutex<[Int: Result<Product, StorageError>]>([:])
  /// One for each place of the window: job i signals place i mod window.
  private let ready: [DispatchSemaphore]

  init(window: Int) { ready = (0..<window).map { _ in DispatchSemaphore(value: 0) } }

  func make(_ index: Int, _ produce: (Int) throws(StorageError) -> Product) {
    put(index, produce)
    ready[index % ready.count].signal()
  }

  /// Leaves the result for `take`. A function of its own, so that this thread has let go of the product before the
  /// consumer hears of it: else the product could outlive its consumption, beyond the window.
  @inline(never)
  private func put(_ index: Int, _ produce: (Int) throws(StorageError) -> Product) {
    let result: Result<Product, StorageError>
    do throws(StorageError) { result = .success(try produce(index)) } catch { result = .failure(error) }
    results.withLock { $0[index] = result }
  }

  func take(_ index: Int) throws(StorageError) -> Product {
    ready[index % ready.count].wait()
    let result = results.withLock { $0.removeValue(forKey: index)! }
    return try result.get()
  }
}
