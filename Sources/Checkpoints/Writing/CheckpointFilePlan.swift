import ByteIO
import TensorKit

/// One file of some format, laid out before any tensor is read.
protocol CheckpointFilePlan: Sendable {
  /// The tensors whose bytes are written, in the order of the file.
  var tensors: [TensorInfo] { get }

  /// What `append` wants to know of a tensor beside its bytes. Called on the threads that make the tensors.
  func checksum(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> UInt32

  /// Writes what comes before the first tensor.
  func begin(writingTo sink: any ByteSink) throws(StorageError) -> any CheckpointFileWriter
}

extension CheckpointFilePlan {
  func checksum(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> UInt32 { 0 }
}

/// Writes the tensors of a plan in their order, and keeps none of them.
protocol CheckpointFileWriter {
  /// - Precondition: `bytes` has the size that the plan says.
  mutating func append(_ bytes: UnsafeRawBufferPointer, checksum: UInt32) throws(StorageError)
  /// - Precondition: every tensor was appended.
  mutating func finish() throws(StorageError)
}
