import TMPackByteIO

/// What is known of a tensor without reading it.
public struct TensorInfo: Sendable, Hashable {
  public let name: String
  public let dtype: DType
  public let shape: Shape
  public let byteCount: Int

  /// - Throws: `limitExceeded` for a long name; what `Shape.byteCount(of:)` throws.
  public init(name: String, dtype: DType, shape: Shape) throws(StorageError) {
    try Self.check(nameBytes: name.utf8.count)
    self.name = name
    self.dtype = dtype
    self.shape = shape
    byteCount = try located(tensor: name) { () throws(StorageError) in try Self.byteCount(of: shape, dtype) }
  }

  /// - Throws: `limitExceeded` for the name of a tensor that is this long.
  public static func check(nameBytes: Int) throws(StorageError) {
    try Limits.check(nameBytes, atMost: Limits.nameBytes, "the length of a tensor's name in bytes")
  }

  /// - Throws: `limitExceeded` for more than a tensor may have; what `Shape.byteCount(of:)` throws.
  public static func byteCount(of shape: Shape, _ dtype: DType) throws(StorageError) -> Int {
    let count = try shape.byteCount(of: dtype)
    try Limits.check(count, atMost: Limits.tensorBytes, "the size of a tensor")
    return count
  }

  /// Whether `other` has the same dtype and shape.
  public func matches(_ other: TensorInfo) -> Bool { dtype == other.dtype && shape == other.shape }
}
