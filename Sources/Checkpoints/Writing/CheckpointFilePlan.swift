import ByteIO
import TensorKit

/// One file of some format, laid out before any tensor is read.
protocol CheckpointFilePlan: Sendable {
  /// The tensors whose bytes are written, in the order of the file.
  var tensors: [TensorInfo] { get }

  /// What `append` takes of a tensor. Called on the threads that read the tensors.
  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> EncodedTensor

  /// Writes what comes before the first tensor.
  func begin(writingTo sink: any ByteSink) throws(StorageError) -> any CheckpointFileWriter
}

extension CheckpointFilePlan {
  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> EncodedTensor { EncodedTensor(bytes: bytes) }
}

/// A tensor as a file holds it.
struct EncodedTensor: Sendable {
  let bytes: TensorBytes
  /// In formats that have one before the bytes.
  var checksum: UInt32 = 0
}

/// Writes the tensors of a plan in their order, and keeps none of them.
protocol CheckpointFileWriter {
  /// - Precondition: the next tensor of the plan, encoded by it.
  mutating func append(_ tensor: EncodedTensor) throws(StorageError)
  /// - Precondition: every tensor was appended.
  mutating func finish() throws(StorageError)
}
