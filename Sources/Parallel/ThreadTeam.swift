import Dispatch
import Synchronization
import TMPackByteIO

/// Calls `body(i)` for every i in 0 ..< count, in any order: here, and on those threads of the pipeline around this job
/// that have no job of their own.
///
/// So many small jobs run side by side, and a large one is worked on by all: there are never more threads at work than
/// the pipeline has. Outside a pipeline, all such calls together use as many threads more as leave none of the process's
/// cores idle.
///
/// - Throws: the first error in the order of i; calls after it may be left out.
package func concurrently(
  _ count: Int, _ body: @escaping @Sendable (Int) throws(StorageError) -> Void
) throws(StorageError) {
  guard count > 1 else {
    if count == 1 { try body(0) }
    return
  }
  let work = SharedWork(count, body)
  if let team = ThreadTeam.current { return try team.share(work).get() }
  let helpers = Fork.hasLostThreads ? 0 : ThreadTeam.reserveHelpers(atMost: count - 1)
  defer { ThreadTeam.releaseHelpers(helpers) }
  let team = ThreadTeam(threads: helpers)
  defer { team.stop() }
  try team.asCurrent { () throws(StorageError) in try team.share(work).get() }
}

/// `transform(i)` for every i in 0 ..< count, made as `concurrently` does it.
package func mappedConcurrently<Value: Sendable>(
  _ count: Int, _ transform: @escaping @Sendable (Int) throws(StorageError) -> Value
) throws(StorageError) -> [Value] {
  let values = Values<Value>(count)
  try concurrently(count) { index throws(StorageError) in values[index] = try transform(index) }
  return values.all
}

private final class Values<Value: Sendable>: Sendable {
  private let values: Mutex<[Value?]>

  init(_ count: Int) { values = Mutex(Array(repeating: nil, count: count)) }

  subscript(index: Int) -> Value {
    get { values.withLock { $0[index]! } }
    set { values.withLock { $0[index] = newValue } }
  }

  var all: [Value] { values.withLock { $0.map { $0! } } }
}

/// Threads that do numbered jobs, and help each other when there is none to do.
final class ThreadTeam: Sendable {
  /// That of the job that runs on this thread.
  @TaskLocal static var current: ThreadTeam?

  private enum Step {
    case job(Int)
    case help(SharedWork)
    case sleep
    case leave(isLast: Bool)
  }

  private struct State {
    var next = 0
    var consumed = 0
    var hasStopped = false
    /// Threads that do not leave before `hasStopped`.
    var serving = 0
    /// Threads that serve, or will.
    var started = 0
    var sleepers = 0
    var calls: [SharedWork] = []
  }

  private let state = Mutex(State())
  private let alarm = DispatchSemaphore(value: 0)
  private let empty = DispatchSemaphore(value: 0)
  private let jobs: Int
  /// Jobs that may be begun before the first of them is consumed.
  private let window: Int
  private let threads: Int
  private let perform: @Sendable (Int) -> Void

  /// - Parameter threads: that it starts at most. Those that consume what jobs give, or ask for help, come on top.
  init(threads: Int, jobs: Int = 0, window: Int = 1, perform: @escaping @Sendable (Int) -> Void = { _ in }) {
    self.jobs = jobs
    self.window = window
    self.threads = threads
    self.perform = perform
  }

  /// Starts with the jobs, on as many threads as the system gives; false where it gives none.
  func start() -> Bool {
    let count = min(threads, jobs)
    state.withLock { $0.started = count }
    return startThreads(count) > 0
  }

  /// Makes room in the window.
  func consumedOne() {
    wake(1) { $0.consumed += 1 }
  }

  /// Begins no more jobs, and returns when those that are begun are done.
  func stop() {
    wake(.max) { $0.hasStopped = true }
    // A thread that has yet to start will find nothing to do: it is not waited for.
    if state.withLock({ $0.serving > 0 }) { empty.wait() }
  }

  /// Has the team help with what `body` does on this thread.
  func asCurrent<Value>(_ body: () throws(StorageError) -> Value) throws(StorageError) -> Value {
    let result: Result<Value, StorageError> = Self.$current.withValue(self) {
      do throws(StorageError) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Does some work on this thread and on those of the team that have nothing to do.
  func share(_ work: SharedWork) -> Result<Void, StorageError> {
    let fresh = state.withLock { state in
      state.calls.append(work)
      let fresh = max(0, min(threads - state.started, work.count - 1 - state.sleepers))
      state.started += fresh
      return fresh
    }
    _ = startThreads(fresh)
    wake(work.count - 1)
    work.participate()
    state.withLock { state in state.calls.removeAll { $0 === work } }
    return work.finish()
  }

  /// Those of `count` threads, counted as started, that the system gives.
  private func startThreads(_ count: Int) -> Int {
    for index in 0..<count where !SystemThread.start({ ThreadTeam.$current.withValue(self) { self.serve() } }) {
      state.withLock { $0.started -= count - index }
      return index
    }
    return count
  }

  private func serve() {
    let isTooLate = state.withLock { state in
      if !state.hasStopped { state.serving += 1 }
      return state.hasStopped
    }
    if isTooLate { return }
    while true {
      switch state.withLock({ step(&$0) }) {
      case .job(let index): perform(index)
      case .help(let work):
        work.participate()
        work.leave()
      case .sleep: alarm.wait()
      case .leave(let isLast):
        if isLast { empty.signal() }
        return
      }
    }
  }

  private func step(_ state: inout State) -> Step {
    if state.hasStopped {
      state.serving -= 1
      return .leave(isLast: state.serving == 0)
    }
    if state.next < jobs, state.next - state.consumed < window {
      defer { state.next += 1 }
      return .job(state.next)
    }
    // What was called for last holds up the others.
    if let work = state.calls.last(where: { $0.join() }) { return .help(work) }
    state.sleepers += 1
    return .sleep
  }

  private func wake(_ count: Int, after change: (inout State) -> Void = { _ in }) {
    let woken = state.withLock { state in
      change(&state)
      let woken = min(count, state.sleepers)
      state.sleepers -= woken
      return woken
    }
    for _ in 0..<woken { alarm.signal() }
  }
}

extension ThreadTeam {
  /// Threads that help outside pipelines, in the whole process.
  private static let busyHelpers = ForkSafe(0)

  static func reserveHelpers(atMost wanted: Int) -> Int {
    busyHelpers.withLock { busy in
      let count = max(0, min(wanted, availableCores() - 1 - busy))
      busy += count
      return count
    }
  }

  static func releaseHelpers(_ count: Int) { busyHelpers.withLock { $0 -= count } }
}

/// Numbered calls of a function that several threads take from.
final class SharedWork: Sendable {
  private struct State {
    var next = 0
    var helpers = 0
    /// Whether the owner waits for the helpers.
    var isWaiting = false
    var failure: (index: Int, error: StorageError)?
  }

  let count: Int
  private let body: @Sendable (Int) throws(StorageError) -> Void
  private let state = Mutex(State())
  private let done = DispatchSemaphore(value: 0)

  init(_ count: Int, _ body: @escaping @Sendable (Int) throws(StorageError) -> Void) {
    self.count = count
    self.body = body
  }

  /// Lets a helper in, if there is something left to do. `leave` must follow.
  func join() -> Bool {
    state.withLock { state in
      guard state.next < count else { return false }
      state.helpers += 1
      return true
    }
  }

  func leave() {
    let isLast = state.withLock { state in
      state.helpers -= 1
      return state.isWaiting && state.helpers == 0
    }
    if isLast { done.signal() }
  }

  /// Makes calls until none is left.
  func participate() {
    while let index = claim() {
      do throws(StorageError) { try body(index) } catch { record(error, index) }
    }
  }

  /// Waits for the helpers that are in. There must not be more of them to come.
  func finish() -> Result<Void, StorageError> {
    let mustWait = state.withLock { state in
      state.isWaiting = true
      return state.helpers > 0
    }
    if mustWait { done.wait() }
    return state.withLock { state in
      if let failure = state.failure { .failure(failure.error) } else { .success(()) }
    }
  }

  private func claim() -> Int? {
    state.withLock { state in
      guard state.next < count else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  /// What comes before is claimed already, so the first error of all is the least.
  private func record(_ error: StorageError, _ index: Int) {
    state.withLock { state in
      if state.failure.map({ index < $0.index }) ?? true { state.failure = (index, error) }
      state.next = count
    }
  }
}
