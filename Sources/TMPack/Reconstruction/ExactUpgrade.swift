import ArchiveFormat
import ByteIO
import Factorization
import TensorKit

/// The way from what a lossy factor gives to the expert's own bits (TMP-6-17, TMP-7-14).
///
/// It exists because decoding is specified to the bit: what is taken away when packing is what is there again when unpacking.
struct ExactUpgrade {
  let info: TensorInfo
  private let format: FloatFormat

  /// - Parameter info: of the shared tensor, which is of a float dtype (TMP-6-7).
  init(_ info: TensorInfo) {
    guard let format = info.dtype.floatFormat else { preconditionFailure("lossy factors are of float dtypes") }
    self.info = info
    self.format = format
  }

  /// The tensor as its one expert at weight 1 rebuilds it, in its own dtype.
  ///
  /// - Parameter factor: nil for what is approximated by nothing.
  /// Memory: the tensor.
  func approximation(of shared: TensorBytes, _ factor: Factor?) throws(StorageError) -> TensorBytes {
    let sum = sum(factor)
    return try TensorBytes(count: info.byteCount) { target throws(StorageError) in
      try sum.write(shared, into: target)
    }
  }

  /// What the one expert adds.
  func sum(_ factor: Factor?) -> WeightedSum {
    WeightedSum(factor.map { [.factor(WeightedFactor($0, weight: 1))] } ?? [], to: format, as: format)
  }

  /// What makes the approximation exact, encoded.
  func correction(
    of own: UnsafeRawBufferPointer, shared: TensorBytes, _ factor: Factor?, level: Int
  ) throws(StorageError) -> EncodedPayload {
    try EncodedPayload(
      differenceOf: own, against: try approximation(of: shared, factor), dtype: info.dtype, level: level)
  }

  /// The expert's own tensor.
  func tensor(
    shared: TensorBytes, _ factor: Factor?, correction: [UInt8]
  ) throws(StorageError) -> TensorBytes {
    try TensorBytes(count: info.byteCount) { target throws(StorageError) in
      try approximation(of: shared, factor).withBytes { reference throws(StorageError) in
        try correction.withBytes { ExactDifference.decode($0, against: reference, dtype: info.dtype, into: target) }
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
