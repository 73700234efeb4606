/// Bytes that can be read from any place, by several threads at once.
package protocol PositionalReader: Sendable {
  /// Fills `destination` with the bytes from `offset` on.
  func read(at offset: UInt64, into destination: UnsafeMutableRawBufferPointer) throws(StorageError)

  /// Calls `body` with `count` bytes from `offset` on; by default with a copy that lives for the call.
  func withBytes<Result>(
    at offset: UInt64, count: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result
}

extension PositionalReader {
  package func withBytes<Result>(
    at offset: UInt64, count: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try Resources.checkMemory(count)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { copy.deallocate() }
    try read(at: offset, into: copy)
    return try body(UnsafeRawBufferPointer(copy))
  }

  /// `count` numbers that lie at `offset` as memory has them.
  package func read<Number: BitwiseCopyable>(at offset: UInt64, count: Int) throws(StorageError) -> [Number] {
    try [Number](count: count) { target throws(StorageError) in try read(at: offset, into: target) }
  }
}

extension ReadableFile: PositionalReader {}
