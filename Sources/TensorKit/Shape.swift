import TMPackByteIO

/// The dimensions of a tensor, row-major, whose product is known to fit 64 bits.
public struct Shape: Sendable, Hashable {
  public let dimensions: [Int]
  public let elementCount: Int

  /// - Throws: `limitExceeded` for too many dimensions, `malformed` for a negative one or an overflowing product.
  public init(_ dimensions: [Int]) throws(StorageError) {
    try Self.check(dimensionCount: dimensions.count)
    var count = 1
    for dimension in dimensions where dimension != 0 {
      guard dimension > 0 else { throw StorageError(.malformed, "a dimension is negative") }
      count = try count.multiplied(by: dimension, "the number of elements")
    }
    self.dimensions = dimensions
    elementCount = dimensions.contains(0) ? 0 : count
  }

  /// - Throws: `limitExceeded` for more dimensions than a tensor may have.
  public static func check(dimensionCount: Int) throws(StorageError) {
    try Limits.check(dimensionCount, atMost: Limits.dimensions, "the number of dimensions")
  }

  /// Bytes of all elements, packed.
  /// - Throws: `malformed` when they do not fill whole bytes, or are more than 64 bits can count.
  package func byteCount(of dtype: DType) throws(StorageError) -> Int {
    let bits = try elementCount.multiplied(by: dtype.bitWidth, "the size in bits")
    guard bits.isMultiple(of: 8) else {
      throw StorageError(.malformed, "shape \(self) of \(dtype.rawValue) does not fill whole bytes")
    }
    return bits / 8
  }

  /// The tensor seen as a matrix [d₀, rest], as the factors see it; nil for scalars and vectors.
  public var matrix: (rows: Int, columns: Int)? {
    guard dimensions.count >= 2, elementCount > 0 else { return nil }
    return (dimensions[0], elementCount / dimensions[0])
  }
}

extension Shape: CustomStringConvertible {
  public var description: String { "[\(dimensions.map(String.init).joined(separator: ", "))]" }
}
