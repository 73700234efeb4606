import Synchronization

/// Unfinished outputs of this process, so that an interrupt can leave nothing behind.
public enum TemporaryPaths {
  private static let registered = Mutex<Set<String>>([])

  /// A name beside `path` that no other writer uses, registered until `forget`.
  static func register(siblingOf path: String) -> String {
    // Random, not the process's number: on a shared disk the writers are on several machines, and in containers every
    // one of them is process 1.
    let unique = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    let temporary = FileTree.join(FileTree.parent(path), ".\(FileTree.lastComponent(path)).\(unique).tmp")
    registered.withLock { _ = $0.insert(temporary) }
    return temporary
  }

  static func register(_ path: String) { registered.withLock { _ = $0.insert(path) } }

  static func forget(_ path: String) {
    registered.withLock { _ = $0.remove(path) }
  }

  /// Deletes every unfinished output. For a handler of SIGINT or SIGTERM, just before it exits.
  public static func removeAll() {
    let paths = registered.withLock { $0 }
    for path in paths { try? FileTree.remove(path) }
  }
}
