import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Memory for one tensor, filled once and then only read: its own, or a view of a mapped file.
///
/// Its own is 64-byte aligned; a view is aligned for its elements.
public final class TensorBytes: @unchecked Sendable {
  private let storage: UnsafeRawBufferPointer
  /// What a view keeps alive; nil for memory of its own.
  private let owner: AnyObject?

  /// Allocates `count` bytes and has `fill` set every one of them.
  public convenience init(count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
    self.init(allocating: count, filledBy: fill)
  }

  private init<Failure: Error>(
    allocating count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    storage = UnsafeRawBufferPointer(memory)
    owner = nil
    // `self` is complete: when this throws, `deinit` frees the memory.
    try fill(memory)
  }

  /// The same where memory may be refused.
  ///
  /// - Throws: `outOfMemory`; what `fill` throws.
  public convenience init(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    try Resources.checkMemory(count)
    try self.init(allocating: count, filledBy: fill)
  }

  /// - Throws: `outOfMemory`.
  package convenience init(zeros count: Int) throws(StorageError) {
    try self.init(count: count) { memory throws(StorageError) in memory.initializeMemory(as: UInt8.self, repeating: 0) }
  }

  /// A view of `bytes`, which must stay valid and unchanged as long as `owner` lives.
  public init(viewing bytes: UnsafeRawBufferPointer, keeping owner: AnyObject) {
    storage = bytes
    self.owner = owner
  }

  deinit {
    if owner == nil { storage.deallocate() }
  }

  public var count: Int { storage.count }

  public func withBytes<Result: ~Copyable>(
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try body(storage)
  }

  /// The elements as `Element`s: a trivial type, no wider than the tensor's elements.
  public func withElements<Element, Result>(
    of _: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try body(storage.bindMemory(to: Element.self))
  }
}

extension TensorBytes {
  public func hasSameBytes(as other: TensorBytes) -> Bool {
    storage.count == other.storage.count
      && (storage.isEmpty || memcmp(storage.baseAddress!, other.storage.baseAddress!, storage.count) == 0)
  }
}

extension ByteSink {
  public func write(_ bytes: TensorBytes) throws(StorageError) {
    try bytes.withBytes { raw throws(StorageError) in try write(raw) }
  }
}
