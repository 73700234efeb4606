import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackParallel
import TMPackTensorKit

/// The way from what a lossy factor gives to the expert's own bits (TMP-6-17, TMP-7-14).
///
/// It exists because decoding is specified to the bit: what is taken away when packing is what is there again when unpacking.
package struct ExactUpgrade {
  package let info: TensorInfo
  private let format: FloatFormat

  /// - Parameter info: of the shared tensor, which is of a float dtype (TMP-6-7).
  package init(_ info: TensorInfo) {
    guard let format = info.dtype.floatFormat else { preconditionFailure("lossy factors are of float dtypes") }
    self.info = info
    self.format = format
  }

  /// The tensor as its one expert at weight 1 rebuilds it, in its own dtype.
  ///
  /// - Parameter factor: nil for what is approximated by nothing.
  /// Memory: the tensor.
  package func approximation(of shared: TensorBytes, _ factor: Factor?) throws(StorageError) -> TensorBytes {
    let sum = sum(factor)
    return try TensorBytes(count: info.byteCount) { target throws(StorageError) in
      try sum.write(shared, into: target)
    }
  }

  /// What the one expert adds.
  package func sum(_ factor: Factor?) -> WeightedSum {
    WeightedSum(factor.map { [.factor(WeightedFactor($0, weight: 1))] } ?? [], to: format, as: format)
  }

  /// What makes the approximation exact, encoded.
  ///
  /// Memory: a run of elements, and what is encoded.
  package func correction(
    of own: OpenTensor, shared: OpenTensor, _ factor: Factor?, level: Int, scratch: PayloadScratch? = nil
  ) throws(StorageError) -> EncodedPayload {
    let (sum, width, count) = (sum(factor), format.byteWidth, info.shape.elementCount)
    let granularity = sum.granularity
    let approximation = OpenTensor(count: info.byteCount) { range, target throws(StorageError) in
      let first = range.lowerBound / width / granularity * granularity
      // In this order, since a granularity may be that of the tensor's end.
      let end = range.upperBound / width
      let run = first..<min(end.isMultiple(of: granularity) ? end : (end / granularity + 1) * granularity, count)
      try shared.withBytes(run.lowerBound * width..<run.upperBound * width) { raw throws(StorageError) in
        if raw.count == target.count { return try sum.write(run, shared: raw, into: target) }
        let bytes = try [UInt8](count: raw.count) { all throws(StorageError) in
          try sum.write(run, shared: raw, into: all)
        }
        let skip = range.lowerBound - first * width
        target.copyBytes(from: bytes[skip..<skip + range.count])
      }
    }
    return try EncodedPayload(
      differenceOf: own, against: approximation, dtype: info.dtype, level: level, scratch: scratch)
  }

  /// The expert's own tensor.
  package func tensor(
    shared: TensorBytes, _ factor: Factor?, correction: [UInt8]
  ) throws(StorageError) -> TensorBytes {
    try TensorBytes(count: info.byteCount) { target throws(StorageError) in
      try ExactDifference.decodeConcurrently(
        correction, against: try approximation(of: shared, factor), dtype: info.dtype, into: target)
    }
  }
}

extension ExactDifference {
  /// `decode` on all threads that are free.
  static func decodeConcurrently(
    _ difference: [UInt8], against reference: TensorBytes, dtype: DType, into tensor: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    nonisolated(unsafe) let tensor = tensor
    try concurrently((tensor.count + blockSize - 1) / blockSize) { index throws(StorageError) in
      let block = index * blockSize..<min((index + 1) * blockSize, tensor.count)
      try difference.withBytes { difference throws(StorageError) in
        try reference.withBytes { reference in
          decode(
            UnsafeRawBufferPointer(rebasing: difference[block]),
            against: UnsafeRawBufferPointer(rebasing: reference[block]), dtype: dtype,
            into: UnsafeMutableRawBufferPointer(rebasing: tensor[block]))
        }
      }
    }
  }
}

extension EncodedPayload {
  /// The exact difference of a tensor to a reference of the same dtype and size (TMP-6-14).
  package init(
    differenceOf own: OpenTensor, against reference: OpenTensor, dtype: DType, level: Int,
    scratch: PayloadScratch? = nil
  ) throws(StorageError) {
    // Frames are blocks of it.
    let room = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(own.count, ExactDifference.blockSize), alignment: 64)
    defer { room.deallocate() }
    try self.init(size: own.count, .differences(width: dtype.planeWidth), level: level, scratch: scratch) {
      range, encode throws(StorageError) in
      let difference = UnsafeMutableRawBufferPointer(rebasing: room[..<range.count])
      let boundaries = try own.withBytes(range) { own throws(StorageError) in
        try reference.withBytes(range) { ExactDifference.encode(own, against: $0, dtype: dtype, into: difference) }
      }
      try encode(UnsafeRawBufferPointer(difference), boundaries)
    }
  }

  /// A tensor's own bytes.
  ///
  /// - Parameter isMappable: whether they are left as they are (TMP-5-12), unless they are few.
  package init(
    tensor: OpenTensor, dtype: DType, level: Int, isMappable: Bool = false, scratch: PayloadScratch? = nil
  ) throws(StorageError) {
    try self.init(size: tensor.count, .own(dtype), level: level, isMappable: isMappable, scratch: scratch) {
      range, encode throws(StorageError) in
      try tensor.withBytes(range) { bytes throws(StorageError) in try encode(bytes, []) }
    }
  }

  /// The same of some of them.
  package init(tensor bytes: UnsafeRawBufferPointer, dtype: DType, level: Int) {
    self.init(bytes, .own(dtype), level: level)
  }
}

extension PayloadCoding {
  fileprivate static func own(_ dtype: DType) -> PayloadCoding {
    let width = dtype.planeWidth
    return dtype.floatFormat == nil ? .elements(width: width) : .floats(width: width)
  }
}
