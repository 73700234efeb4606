import ByteIO

/// Another source with its floating-point tensors (f64, f32, f16, bf16) in one format; the rest is as it was.
///
/// Each value is rounded once, to nearest even; what is too large for the format becomes infinity.
public struct ConvertedSource: TensorSource {
  public let tensors: [TensorInfo]
  private let source: any TensorSource
  private let format: FloatFormat
  /// The source's infos, in the order of `tensors`.
  private let originals: [TensorInfo]

  public init(_ source: any TensorSource, to format: FloatFormat) throws(StorageError) {
    originals = source.tensors
    tensors = try originals.map { info throws(StorageError) in
      guard info.dtype.floatFormat != nil else { return info }
      return try TensorInfo(name: info.name, dtype: format.dtype, shape: info.shape)
    }
    self.source = source
    self.format = format
  }

  public var metadata: [String: String] { source.metadata }
  public var label: String { source.label }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = originals[tensors.index(ofTensor: info.name)!]
    guard let from = original.dtype.floatFormat, from != format else {
      return try source.read(original, into: destination)
    }
    try source.bytes(of: original).withBytes { from.convert($0, to: format, into: destination) }
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let original = originals[tensors.index(ofTensor: info.name)!]
    // Unchanged tensors keep their views.
    if original.dtype == info.dtype { return try source.bytes(of: original) }
    return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in try read(info, into: memory) }
  }
}

extension FloatFormat {
  /// Converts packed elements of this format to another, each rounded once to nearest even.
  ///
  /// - Precondition: both hold the same number of elements.
  public func convert(
    _ bytes: UnsafeRawBufferPointer, to target: FloatFormat, into destination: UnsafeMutableRawBufferPointer
  ) {
    // f64 needs `Double` on the way; everything else is exact in `Float`, which is quicker.
    if self == .f64 {
      convert(bytes, to: target, into: destination, through: Double.self)
    } else {
      convert(bytes, to: target, into: destination, through: Float.self)
    }
  }

  private func convert<Scalar: Accumulator>(
    _ bytes: UnsafeRawBufferPointer, to target: FloatFormat, into destination: UnsafeMutableRawBufferPointer,
    through _: Scalar.Type
  ) {
    let count = bytes.count / byteWidth
    precondition(destination.count == count * target.byteWidth, "one element for each element")
    // A block's values stay in the first-level cache.
    let block = 2048
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: block) { values in
      for start in stride(from: 0, to: count, by: block) {
        let length = min(block, count - start)
        let values = UnsafeMutableBufferPointer(rebasing: values[..<length])
        let from = start * byteWidth..<(start + length) * byteWidth
        let into = start * target.byteWidth..<(start + length) * target.byteWidth
        widen(UnsafeRawBufferPointer(rebasing: bytes[from]), into: values)
        target.round(
          UnsafeBufferPointer(values), into: UnsafeMutableRawBufferPointer(rebasing: destination[into]))
      }
    }
  }
}
