import TMPackByteIO

/// A tensor that can be made in spans of bytes, so that it need never be whole in memory.
public struct SpannedTensor: Sendable {
  /// Fills `destination` with the tensor's bytes from `start` on: one span. Spans are made in any order and on several threads at once.
  public typealias Reader =
    @Sendable (_ start: Int, _ destination: UnsafeMutableRawBufferPointer) throws(StorageError) -> Void

  /// Bytes of a span; the last may have fewer.
  public let length: Int
  /// Makes ready what all spans need, such as a decoded factor, which is kept as long as the reader.
  public let open: @Sendable () throws(StorageError) -> Reader

  /// - Parameters:
  ///   - length: of a span in bytes, more than 0.
  ///   - open: makes ready what all spans need, and gives what fills one.
  public init(length: Int, open: @escaping @Sendable () throws(StorageError) -> Reader) {
    precondition(length > 0, "a span has bytes")
    self.length = length
    self.open = open
  }
}
