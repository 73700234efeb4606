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
  package func correction(
    of own: UnsafeRawBufferPointer, shared: TensorBytes, _ factor: Factor?, level: Int
  ) throws(StorageError) -> EncodedPayload {
    try EncodedPayload(
      differenceOf: own, against: try approximation(of: shared, factor), dtype: info.dtype, level: level)
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
    differenceOf own: UnsafeRawBufferPointer, against reference: TensorBytes, dtype: DType, level: Int
  ) throws(StorageError) {
    var boundaries: [Int] = []
    let difference = try TensorBytes(count: own.count) { target throws(StorageError) in
      try reference.withBytes {
        boundaries = ExactDifference.encode(own, against: $0, dtype: dtype, into: target)
      }
    }
    self = try difference.withBytes {
      EncodedPayload($0, .differences(width: dtype.planeWidth), boundaries: boundaries, level: level)
    }
  }

  /// A tensor's own bytes.
  package init(tensor bytes: UnsafeRawBufferPointer, dtype: DType, level: Int) {
    let width = dtype.planeWidth
    self.init(bytes, dtype.floatFormat == nil ? .elements(width: width) : .floats(width: width), level: level)
  }
}
