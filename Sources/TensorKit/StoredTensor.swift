import TMPackByteIO

/// Where a tensor lies in a file in one piece, for who copies its bytes instead of reading its elements.
public struct StoredTensor: Sendable {
  /// What the bytes are.
  public enum Encoding: Sendable, Hashable {
    /// The elements, as `TensorSource.read` gives them.
    case plain
    /// Blocks of a quantised type, by ggml's number of it.
    case ggml(UInt32)
  }

  public let range: FileRange
  public let encoding: Encoding
  /// Takes the CRC-32 of the bytes, and throws `digestMismatch` where the file says another; nil where it says none.
  public let check: (@Sendable (_ checksum: UInt32) throws(StorageError) -> Void)?

  /// Whether the bytes are a tensor's, and may be used as they are.
  func isPlain(_ info: TensorInfo) -> Bool { encoding == .plain && check == nil && range.count == info.byteCount }

  public init(
    _ range: FileRange, encoding: Encoding = .plain,
    check: (@Sendable (_ checksum: UInt32) throws(StorageError) -> Void)? = nil
  ) {
    (self.range, self.encoding, self.check) = (range, encoding, check)
  }
}
