import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What this process has written and not finished, so that an interrupt can leave nothing behind.
package enum UnfinishedOutputs {
  private struct State {
    var paths: Set<String> = []
    /// Where what was appended to files begins, by their descriptors.
    var tails: [Int32: UInt64] = [:]
  }
  private static let state = Mutex(State())
  /// Held where outputs get their names.
  private static let gate = Mutex(())

  static func register(_ path: String) { state.withLock { _ = $0.paths.insert(path) } }

  static func forget(_ path: String) { state.withLock { _ = $0.paths.remove(path) } }

  /// Whether a path leads into a folder that is unfinished.
  static func holds(_ path: String) -> Bool {
    state.withLock { state in state.paths.contains { path.utf8.starts(with: FileTree.join($0, "").utf8) } }
  }

  /// Runs `write`, which may lengthen an open file, and whose work an interrupt cuts off at `end`: it comes before all of
  /// it or after all of it.
  static func lengthening(
    _ descriptor: Int32, from end: UInt64, _ write: () throws(StorageError) -> Void
  ) throws(StorageError) {
    try state.withLock { state throws(StorageError) in
      state.tails[descriptor] = end
      try write()
    }
  }

  /// Runs `finish`, from which on an interrupt leaves the file as it is.
  static func keeping(_ descriptor: Int32, _ finish: () throws(StorageError) -> Void) throws(StorageError) {
    try state.withLock { state throws(StorageError) in
      state.tails[descriptor] = nil
      try finish()
    }
  }

  /// Runs `finish`, which an interrupt comes before or after.
  static func uninterrupted(_ finish: () throws(StorageError) -> Void) throws(StorageError) {
    try gate.withLock { _ throws(StorageError) in try finish() }
  }

  /// Undoes every unfinished output and ends the process. Whoever would begin, lengthen or finish one waits for that end.
  ///
  /// For SIGINT or SIGTERM, on a thread of its own: not for a signal handler.
  ///
  /// - Parameter exit: must run no code of working threads.
  package static func undoAll(_ exit: () -> Never) -> Never {
    gate.withLock { _ in
      state.withLock { state in
        for path in state.paths { try? FileTree.remove(path) }
        MissingFolders.removeEmpty()
        for (descriptor, end) in state.tails { _ = retrying { ftruncate(descriptor, off_t(end)) } }
        exit()
      }
    }
  }
}
