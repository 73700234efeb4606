import ByteIO
import Digests
import Synchronization
import TensorKit

/// Tensors of the shared model, each made once for the jobs that need it and let go after the last of them.
///
/// Memory: the tensors of the jobs that are being done.
final class SharedTensorLoan: Sendable {
  struct Tensor: Sendable {
    let bytes: TensorBytes
    let digest: Digest
  }

  private final class Entry: Sendable {
    let tensor = Mutex<Tensor?>(nil)
  }

  private struct State {
    var entries: [ExactString: Entry] = [:]
    var jobsLeft: [ExactString: Int]
  }
  private let source: any TensorSource
  private let state: Mutex<State>

  /// - Parameter names: of the tensors that jobs need, one for each job.
  init(_ source: any TensorSource, for names: [String]) {
    self.source = source
    var jobsLeft: [ExactString: Int] = [:]
    for name in names { jobsLeft[ExactString(name), default: 0] += 1 }
    state = Mutex(State(jobsLeft: jobsLeft))
  }

  /// Makes the tensor, or waits until another thread has.
  func tensor(_ info: TensorInfo) throws(StorageError) -> Tensor {
    let name = ExactString(info.name)
    let entry = state.withLock { state in
      if let entry = state.entries[name] { return entry }
      let entry = Entry()
      state.entries[name] = entry
      return entry
    }
    return try entry.tensor.withLock { tensor throws(StorageError) in
      if let tensor { return tensor }
      let bytes = try source.bytes(of: info)
      let made = Tensor(bytes: bytes, digest: try bytes.withBytes { Digest(of: $0) })
      tensor = made
      return made
    }
  }

  /// One of the jobs is done.
  func release(_ name: String) {
    let name = ExactString(name)
    state.withLock { state in
      let left = (state.jobsLeft[name] ?? 1) - 1
      state.jobsLeft[name] = left
      if left <= 0 { state.entries[name] = nil }
    }
  }
}
