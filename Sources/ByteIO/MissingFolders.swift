import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Folders that outputs were to lie in and that were not there. A library says so; a program may have them made.
package enum MissingFolders {
  private struct State {
    var areMade = false
    /// Outermost first.
    var made: [String] = []
  }
  private static let state = Mutex(State())

  /// From now on they are made. For programs: call once, at their start.
  package static func make() { state.withLock { $0.areMade = true } }

  /// Makes the folder of an output, and those that it is in; returns whether there is one now that was not there before.
  static func make(for output: String) -> Bool {
    state.withLock { state in
      guard state.areMade else { return false }
      var missing: [String] = []
      var folder = FileTree.parent(output)
      while FileTree.kind(of: folder, followingLinks: false) == nil, folder != FileTree.parent(folder) {
        missing.append(folder)
        folder = FileTree.parent(folder)
      }
      for folder in missing.reversed() {
        guard retrying({ mkdir(folder, 0o777) }) == 0 else { return false }
        state.made.append(folder)
      }
      return !missing.isEmpty
    }
  }

  /// Removes those that nothing was put into, when the work has failed.
  package static func removeEmpty() {
    state.withLock { state in
      for folder in state.made.reversed() { rmdir(folder) }
      state.made = []
    }
  }
}
