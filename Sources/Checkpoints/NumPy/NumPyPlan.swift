import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A `.npz` file: what `numpy.savez` makes of arrays by name.
struct NumPyArchivePlan: CheckpointFilePlan {
  let tensors: [TensorInfo]
  /// In the order of `tensors`.
  private let headers: [[UInt8]]

  /// - Throws: `unsupportedFeature` for elements that NumPy does not have, and names that no archive can hold.
  init(_ tensors: [TensorInfo]) throws(StorageError) {
    self.tensors = tensors.sortedByName()
    for info in tensors { try located(tensor: info.name) { () throws(StorageError) in try ZipWriter.check(info.name) } }
    headers = try self.tensors.map { info throws(StorageError) in try info.numPyHeader }
  }

  var hasChecksums: Bool { true }

  func begin(writingTo sink: any OverwritableSink) -> any CheckpointFileWriter {
    Writer(plan: self, zip: ZipWriter(to: sink))
  }

  private struct Writer: CheckpointFileWriter {
    let plan: NumPyArchivePlan
    var zip: ZipWriter
    var next = 0

    mutating func begin(checksum: CRC32?) throws(StorageError) {
      let (info, header) = (plan.tensors[next], plan.headers[next])
      try located(tensor: info.name) { () throws(StorageError) in
        let size = UInt64(header.count) + UInt64(info.byteCount)
        try zip.begin(info.name + NumPyFile.suffix, size: size, checksum: checksum.map(whole))
        try zip.write(header)
      }
    }

    func write(_ part: TensorBytes) throws(StorageError) { try zip.write(part) }

    mutating func end(checksum: CRC32) throws(StorageError) {
      try zip.end(checksum: whole(checksum))
      next += 1
    }

    /// Of the next entry.
    private func whole(_ checksum: CRC32) -> CRC32 {
      plan.headers[next].withUnsafeBytes { CRC32.of($0) }
        .followed(by: checksum, count: plan.tensors[next].byteCount)
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

  func begin(writingTo sink: any OverwritableSink) throws(StorageError) -> any CheckpointFileWriter {
    try sink.write(header)
    return Writer(sink: sink)
  }

  private struct Writer: CheckpointFileWriter {
    let sink: any ByteSink
    func begin(checksum: CRC32?) {}
    func write(_ part: TensorBytes) throws(StorageError) { try sink.write(part) }
    func end(checksum: CRC32) {}
    func finish() {}
  }
}

extension TensorInfo {
  fileprivate var numPyHeader: [UInt8] {
    get throws(StorageError) {
      guard let bytes = NumPyHeader(dtype: dtype, shape: shape).bytes else {
        let error = StorageError(.unsupportedFeature, "NumPy has no \(dtype.rawValue) elements", tensor: name)
        throw dtype == .bf16 ? error.with(.takeDType("f32")) : error
      }
      return bytes
    }
  }
}
