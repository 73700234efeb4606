import Synchronization

/// What went wrong after an output of this process had got its name, and so is no reason to call the work a failure.
package enum CommitNotes {
  private struct State {
    var output: String?
    var notes: [StorageError] = []
  }
  private static let state = Mutex(State())

  /// Notes that a file or folder is there, whole, under its name. What lies in one that is unfinished is not.
  static func appeared(_ path: String) {
    guard !UnfinishedOutputs.holds(path) else { return }
    state.withLock { $0.output = path }
  }

  /// Runs what only makes sure of an output that has its name.
  static func afterwards(_ path: String, _ body: () throws(StorageError) -> Void) {
    do { try body() } catch {
      add(StorageError(error.code, "was written, but \(error.message): a power cut may undo it", file: path))
    }
  }

  package static func add(_ note: StorageError) { state.withLock { $0.notes.append(note) } }

  /// The last output that has got its name; nil while there is none.
  package static var output: String? { state.withLock { $0.output } }

  /// What there is to say, once.
  package static func take() -> [StorageError] {
    state.withLock { state in
      defer { state.notes = [] }
      return state.notes
    }
  }
}
