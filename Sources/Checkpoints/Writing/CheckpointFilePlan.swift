import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// One file of some format, laid out before any tensor is read.
protocol CheckpointFilePlan: Sendable {
  /// The tensors whose bytes are written, in the order of the file.
  var tensors: [TensorInfo] { get }

  /// Whether the file holds checksums of the tensors.
  var hasChecksums: Bool { get }

  /// Whether the bytes of a tensor are written as they are stored elsewhere in this way.
  func takes(_ index: Int, as encoding: StoredTensor.Encoding) -> Bool

  /// The bytes that are written of a tensor. Called on the threads that read the tensors.
  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> TensorBytes

  /// Writes what comes before the first tensor.
  func begin(writingTo sink: any OverwritableSink) throws(StorageError) -> any CheckpointFileWriter
}

extension CheckpointFilePlan {
  var hasChecksums: Bool { false }
  func takes(_ index: Int, as encoding: StoredTensor.Encoding) -> Bool { encoding == .plain }
  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> TensorBytes { bytes }
}

/// Writes the tensors of a plan in their order, and keeps none of them: each begins, is written in one or more parts,
/// and ends.
protocol CheckpointFileWriter {
  /// - Parameter checksum: of the bytes to come, where it is known already and `hasChecksums`.
  mutating func begin(checksum: CRC32?) throws(StorageError)
  mutating func write(_ part: TensorBytes) throws(StorageError)
  /// - Parameter checksum: of all bytes of the tensor, where `hasChecksums`.
  /// - Precondition: as many bytes as the plan says were written.
  mutating func end(checksum: CRC32) throws(StorageError)
  /// - Precondition: every tensor has ended.
  mutating func finish() throws(StorageError)
}
