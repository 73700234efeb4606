import TMPackByteIO

/// What becomes of a number that is too large for the format that it is converted to. Infinities and NaN in the source
/// are no overflow: they stay what they are. (But E4M3 has no infinity, so there one is too large.)
public enum Overflow: String, Sendable, CaseIterable {
  /// Infinity, as IEEE 754 rounds; NaN in E4M3.
  case infinity
  /// The largest number of its sign.
  case saturate
  /// `nonFinite`, naming the tensor.
  case error
}

/// Another source with its floating-point tensors (f64, f32, f16, bf16, f8_e4m3, f8_e5m2) in one format; the rest is as
/// it was.
///
/// Each value is rounded once, to nearest even.
public struct ConvertedSource: TensorSource {
  public let tensors: [TensorInfo]
  private let overflow: Overflow
  private let overflows = OverflowCount()
  package let source: any TensorSource
  private let format: ConversionFormat
  /// The source's infos, in the order of `tensors`.
  private let originals: [TensorInfo]

  /// - Parameters:
  ///   - source: whose tensors are converted as they are read.
  ///   - format: of what comes out.
  ///   - overflow: what becomes of numbers that are too large for it.
  ///   - isConverted: whether a tensor is converted at all.
  /// - Throws: `limitExceeded` for a tensor that is too large then.
  public init(
    _ source: any TensorSource, to format: ConversionFormat, overflow: Overflow = .infinity,
    where isConverted: (TensorInfo) -> Bool = { _ in true }
  ) throws(StorageError) {
    self.overflow = overflow
    originals = source.tensors
    tensors = try originals.map { info throws(StorageError) in
      guard info.dtype.conversionFormat != nil, isConverted(info) else { return info }
      return try TensorInfo(name: info.name, dtype: format.dtype, shape: info.shape)
    }
    self.source = source
    self.format = format
  }

  public var metadata: [String: String] { source.metadata }
  public var typedMetadata: TypedMetadata { source.typedMetadata }
  public var label: String { source.label }
  public var ties: [String: String] { source.ties }
  public var notes: [String] { source.notes }

  /// Numbers that were too large, in all tensors that have been read so far, each time that they were.
  public var overflowCount: Int { overflows.value }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = originals[try place(of: info)]
    guard let from = original.dtype.conversionFormat, original.dtype != info.dtype else {
      return try source.read(original, into: destination)
    }
    let count = try source.bytes(of: original).withBytes { bytes in
      from.convert(bytes, to: format, saturating: overflow == .saturate, into: destination)
    }
    guard count > 0 else { return }
    guard overflow != .error else {
      throw StorageError(
        .nonFinite, "\(count) \(count == 1 ? "number is" : "numbers are") too large for \(format.dtype.rawValue)",
        file: label, tensor: info.name)
    }
    overflows.add(count)
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let original = originals[try place(of: info)]
    // Unchanged tensors keep their views.
    if original.dtype == info.dtype { return try source.bytes(of: original) }
    return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in try read(info, into: memory) }
  }

  public func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    let original = originals[try place(of: info)]
    guard original.dtype == info.dtype, let stored = try source.stored(original) else { return nil }
    // Quantised values have no dtype of their own: a dtype asks for their elements.
    return stored.encoding == .plain ? stored : nil
  }

  public func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    let original = originals[try place(of: info)]
    return original.dtype == info.dtype ? try source.spanned(original) : nil
  }
}
