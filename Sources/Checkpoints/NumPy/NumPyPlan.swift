import ByteIO
import TensorKit

/// A `.npz` file: what `numpy.savez` makes of arrays by name.
struct NumPyArchivePlan: CheckpointFilePlan {
  let tensors: [TensorInfo]
  /// In the order of `tensors`.
  private let headers: [[UInt8]]

  /// - Throws: `unsupportedFeature` for elements that NumPy does not have.
  init(_ tensors: [TensorInfo]) throws(StorageError) {
    self.tensors = tensors.sortedByName()
    headers = try self.tensors.map { info throws(StorageError) in try info.numPyHeader }
  }

  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> EncodedTensor {
    var checksum = CRC32()
    headers[index].withUnsafeBytes { checksum.update($0) }
    try bytes.withBytes { checksum.update($0) }
    return EncodedTensor(bytes: bytes, checksum: checksum.value)
  }

  func begin(writingTo sink: any ByteSink) -> any CheckpointFileWriter { Writer(plan: self, zip: ZipWriter(to: sink)) }

  private struct Writer: CheckpointFileWriter {
    let plan: NumPyArchivePlan
    var zip: ZipWriter
    var next = 0

    mutating func append(_ tensor: EncodedTensor) throws(StorageError) {
      let info = plan.tensors[next]
      precondition(tensor.bytes.count == info.byteCount, "the tensor that comes next")
      try located(tensor: info.name) { () throws(StorageError) in
        let header = plan.headers[next]
        let size = UInt64(header.count) + UInt64(tensor.bytes.count)
        try zip.begin(info.name + NumPyFile.suffix, size: size, checksum: tensor.checksum)
        try zip.write(header)
        try zip.write(tensor.bytes)
      }
      next += 1
    }

    mutating func finish() throws(StorageError) {
      precondition(next == plan.tensors.count, "every tensor was written")
      try zip.finish()
    }
  }
}

/// A `.npy` file: a single array.
struct NumPyArrayPlan: CheckpointFilePlan {
  let tensors: [TensorInfo]
  private let header: [UInt8]

  /// - Throws: `unsupportedFeature` unless there is one tensor, with elements that NumPy has.
  init(_ tensors: [TensorInfo]) throws(StorageError) {
    guard tensors.count == 1 else {
      throw StorageError(.unsupportedFeature, "a .npy file holds one array, not \(tensors.count); write .npz")
    }
    self.tensors = tensors
    header = try tensors[0].numPyHeader
  }

  func begin(writingTo sink: any ByteSink) throws(StorageError) -> any CheckpointFileWriter {
    try sink.write(header)
    return Writer(sink: sink)
  }

  private struct Writer: CheckpointFileWriter {
    let sink: any ByteSink
    mutating func append(_ tensor: EncodedTensor) throws(StorageError) { try sink.write(tensor.bytes) }
    mutating func finish() {}
  }
}

extension TensorInfo {
  fileprivate var numPyHeader: [UInt8] {
    get throws(StorageError) {
      guard let bytes = NumPyHeader(dtype: dtype, shape: shape).bytes else {
        let advice = dtype == .bf16 ? "; convert it with --dtype f32" : ""
        throw StorageError(.unsupportedFeature, "NumPy has no \(dtype.rawValue) elements\(advice)", tensor: name)
      }
      return bytes
    }
  }
}
