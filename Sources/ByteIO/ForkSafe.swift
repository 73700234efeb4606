#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A value of the whole process under a lock that a child of `fork` finds open, whatever threads were doing: it is taken
/// while the process forks.
///
/// For a few values that stay as long as the process. Nothing else is locked while one is.
package final class ForkSafe<Value>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  package init(_ value: sending Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    ForkLocks.watch(mutex)
  }

  package func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}

/// The mutexes that are held while the process forks.
private enum ForkLocks {
  nonisolated(unsafe) private static var mutexes: [UnsafeMutablePointer<pthread_mutex_t>] = []
  /// Of the list; held while the process forks, too.
  nonisolated(unsafe) private static let lock: UnsafeMutablePointer<pthread_mutex_t> = {
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_atfork({ ForkLocks.takeAll() }, { ForkLocks.releaseAll() }, { ForkLocks.releaseAll() })
    return lock
  }()

  static func watch(_ mutex: UnsafeMutablePointer<pthread_mutex_t>) {
    pthread_mutex_lock(lock)
    mutexes.append(mutex)
    pthread_mutex_unlock(lock)
  }

  private static func takeAll() {
    pthread_mutex_lock(lock)
    for mutex in mutexes { pthread_mutex_lock(mutex) }
  }

  private static func releaseAll() {
    for mutex in mutexes { pthread_mutex_unlock(mutex) }
    pthread_mutex_unlock(lock)
  }
}
