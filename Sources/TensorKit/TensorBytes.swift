import ByteIO

/// Memory for one tensor: 64-byte aligned, owned by reference, filled once and then only read.
public final class TensorBytes: @unchecked Sendable {
  private let storage: UnsafeMutableRawBufferPointer

  /// Allocates `count` bytes and has `fill` set every one of them.
  public init(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    storage = .allocate(byteCount: count, alignment: 64)
    do { try fill(storage) } catch {
      storage.deallocate()
      throw error
    }
  }

  deinit { storage.deallocate() }

  public var count: Int { storage.count }

  public func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try body(UnsafeRawBufferPointer(storage))
  }

  /// The elements as `Element`s, which must be a trivial type.
  public func withElements<Element, Result>(
    of _: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try body(UnsafeBufferPointer(storage.bindMemory(to: Element.self)))
  }
}
