import Synchronization
import TMPackByteIO

/// Memory for parts of tensors that is used again and again: new memory costs a page fault for every page of every
/// part, as much as copying it.
package final class PartMemory: Sendable {
  /// One part's. It goes back when nothing refers to it any more.
  private final class Piece: @unchecked Sendable {
    let memory: UnsafeMutableRawBufferPointer
    private let owner: PartMemory

    init(_ memory: UnsafeMutableRawBufferPointer, of owner: PartMemory) { (self.memory, self.owner) = (memory, owner) }

    deinit { owner.give(memory) }
  }

  private let partBytes: Int
  nonisolated(unsafe) private var free: [UnsafeMutableRawBufferPointer] = []
  private let lock = Mutex(())

  package init(partBytes: Int) { self.partBytes = partBytes }

  deinit { for memory in free { memory.deallocate() } }

  /// - Parameter count: no more than a part has, or it is memory of its own.
  package func bytes(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) -> TensorBytes {
    guard count <= partBytes else { return try TensorBytes(count: count, filledBy: fill) }
    let piece = Piece(take(), of: self)
    let memory = UnsafeMutableRawBufferPointer(rebasing: piece.memory[..<count])
    try fill(memory)
    return TensorBytes(viewing: UnsafeRawBufferPointer(memory), keeping: piece)
  }

  private func take() -> UnsafeMutableRawBufferPointer {
    lock.withLock { _ in free.popLast() } ?? .allocate(byteCount: partBytes, alignment: 64)
  }

  private func give(_ memory: UnsafeMutableRawBufferPointer) { lock.withLock { _ in free.append(memory) } }
}
