import ByteIO
import Synchronization
import TensorKit

/// The readers of tensors that are being made in spans: each is opened by who needs it first, and dropped with its last span.
final class OpenTensors: Sendable {
  private final class Opening: Sendable {
    private let reader = Mutex<SpannedTensor.Reader?>(nil)

    /// Opens it, unless that has been done; others wait meanwhile.
    func open(_ tensor: SpannedTensor) throws(StorageError) -> SpannedTensor.Reader {
      let opened = reader.withLock { reader -> Result<SpannedTensor.Reader, StorageError> in
        if let reader { return .success(reader) }
        do throws(StorageError) {
          let fresh = try tensor.open()
          reader = fresh
          return .success(fresh)
        } catch {
          return .failure(error)
        }
      }
      return try opened.get()
    }
  }

  private let openings = Mutex<[Int: (opening: Opening, spansLeft: Int)]>([:])

  /// Opens tensor `index` for those who will make its `count` spans.
  func open(_ index: Int, _ tensor: SpannedTensor, spans count: Int) throws(StorageError) {
    _ = try opening(index, count).open(tensor)
  }

  /// Has `body` make one of the spans of tensor `index`: each of its `count` spans once.
  func withReader<Result>(
    of index: Int, _ tensor: SpannedTensor, spans count: Int,
    _ body: (SpannedTensor.Reader) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    let result = try body(try opening(index, count).open(tensor))
    openings.withLock { openings in
      openings[index]?.spansLeft -= 1
      if openings[index]?.spansLeft == 0 { openings[index] = nil }
    }
    return result
  }

  private func opening(_ index: Int, _ count: Int) -> Opening {
    openings.withLock { openings in
      let entry = openings[index] ?? (Opening(), count)
      openings[index] = entry
      return entry.opening
    }
  }
}
