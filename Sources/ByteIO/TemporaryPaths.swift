import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Unfinished outputs of this process, so that an interrupt can leave nothing behind.
public enum TemporaryPaths {
  private struct State { var paths: Set<String> = []; var counter = 0 }
  private static let state = Mutex(State())

  /// A name beside `path` that no other writer uses, registered until `forget`.
  static func register(siblingOf path: String) -> String {
    state.withLock { state in
      state.counter += 1
      let folder = FileTree.parent(path)
      let temporary = FileTree.join(
        folder, ".\(FileTree.lastComponent(path)).\(getpid()).\(state.counter).tmp")
      state.paths.insert(temporary)
      return temporary
    }
  }

  static func forget(_ path: String) {
    state.withLock { _ = $0.paths.remove(path) }
  }

  /// Deletes every unfinished output. For a handler of SIGINT or SIGTERM, just before it exits.
  public static func removeAll() {
    let paths = state.withLock { $0.paths }
    for path in paths { try? FileTree.remove(path) }
  }
}
