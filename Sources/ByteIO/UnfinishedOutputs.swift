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

  /// A name beside `path` that no other writer uses, registered until `forget`.
  static func register(siblingOf path: String) -> String {
    // Random, not the process's number: on a shared disk the writers are on several machines, and in containers every
    // one of them is process 1.
    let unique = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    // Systems allow a name 255 bytes, and a name that is allowed must have its sibling.
    var name = FileTree.lastComponent(path)
    while name.utf8.count > 255 - 20 { name.removeLast() }
    let temporary = FileTree.join(FileTree.parent(path), ".\(name).\(unique).tmp")
    register(temporary)
    return temporary
  }

  static func register(_ path: String) { state.withLock { _ = $0.paths.insert(path) } }

  static func forget(_ path: String) { state.withLock { _ = $0.paths.remove(path) } }

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

  /// Undoes every unfinished output and ends the process. Whoever would begin, lengthen or finish one waits for that end.
  ///
  /// For SIGINT or SIGTERM, on a thread of its own: not for a signal handler.
  ///
  /// - Parameter exit: must run no code of working threads.
  package static func undoAll(_ exit: () -> Never) -> Never {
    state.withLock { state in
      for path in state.paths { try? FileTree.remove(path) }
      for (descriptor, end) in state.tails { _ = ftruncate(descriptor, off_t(end)) }
      exit()
    }
  }
}
