import TMPackByteIO
import TMPackTensorKit

/// Tensors that are put together from pieces when they are read.
struct PiecedSource: TensorSource {
  let tensors: [TensorInfo]
  let metadata: [String: String]
  let ties: [String: String]
  let notes: [String]
  let label: String
  /// In the order of `tensors`.
  private let pieced: [PiecedTensor]

  /// - Throws: `malformed` for two tensors of one name.
  init(
    _ pieced: [PiecedTensor], metadata: [String: String] = [:], ties: [String: String] = [:], notes: [String],
    label: String
  ) throws(StorageError) {
    let sorted = pieced.sorted { $0.info.name.precedesInBytes($1.info.name) }
    for (left, right) in zip(sorted, sorted.dropFirst()) where left.info.name.hasSameBytes(as: right.info.name) {
      throw StorageError(.malformed, "two tensors have this name", file: label, tensor: left.info.name)
    }
    tensors = sorted.map(\.info)
    self.pieced = sorted
    (self.metadata, self.ties, self.notes, self.label) = (metadata, ties, notes, label)
  }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let tensor = pieced[try place(of: info)]
    return try located(file: label, tensor: info.name) { () throws(StorageError) in try tensor.bytes() }
  }
}
