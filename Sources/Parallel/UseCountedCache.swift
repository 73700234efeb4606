import Synchronization
import TMPackByteIO

/// Values that several jobs need: each is made once, by who needs it first, and let go after the last use.
///
/// Memory: the values of the jobs that are being done.
package final class UseCountedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private final class Item: Sendable {
    let value = Mutex<Value?>(nil)
  }

  private struct State {
    var items: [Key: Item] = [:]
    var usesLeft: [Key: Int]
  }
  private let state: Mutex<State>

  /// - Parameter uses: how often each value will be given back.
  package init(uses: [Key: Int]) { state = Mutex(State(usesLeft: uses)) }

  /// One use for each time that a key is named.
  package convenience init(for keys: [Key]) {
    self.init(uses: Dictionary(keys.map { ($0, 1) }, uniquingKeysWith: +))
  }

  /// A value to be given back; made by `make`, unless it is there. Others who need it wait meanwhile.
  package func borrow(_ key: Key, make: () throws(StorageError) -> Value) throws(StorageError) -> Value {
    let item = state.withLock { state in
      let item = state.items[key] ?? Item()
      state.items[key] = item
      return item
    }
    return try item.value.withLock { value throws(StorageError) in
      if let value { return value }
      let made = try make()
      value = made
      return made
    }
  }

  /// One use is over.
  package func giveBack(_ key: Key) {
    state.withLock { state in
      let left = (state.usesLeft[key] ?? 1) - 1
      state.usesLeft[key] = left
      if left <= 0 { state.items[key] = nil }
    }
  }

  /// Makes a value ahead of its first use, unless the last is over.
  package func prepare(_ key: Key, make: () throws(StorageError) -> Value) throws(StorageError) {
    // As one use more, so that it cannot outlive the others.
    let isNeeded = state.withLock { state in
      guard let left = state.usesLeft[key], left > 0 else { return false }
      state.usesLeft[key] = left + 1
      return true
    }
    guard isNeeded else { return }
    defer { giveBack(key) }
    _ = try borrow(key, make: make)
  }
}
