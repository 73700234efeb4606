import Synchronization
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A source that remembers the digest of each tensor that was read: what a receipt says of an output.
///
/// Safe to use from several threads.
package final class DigestedSource: SourceView {
  package let source: any TensorSource
  private let digests = Mutex<[ExactString: ContentDigest]>([:])

  package init(_ source: any TensorSource) { self.source = source }

  package var tensors: [TensorInfo] { source.tensors }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { nil }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
    remember(ContentDigest(of: UnsafeRawBufferPointer(destination)), info)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let bytes = try source.bytes(of: info)
    remember(try bytes.withBytes { ContentDigest(of: $0) }, info)
    return bytes
  }

  private func remember(_ digest: ContentDigest, _ info: TensorInfo) {
    digests.withLock { $0[ExactString(info.name)] = digest }
  }

  /// The digest of a tensor's bytes; reads the tensor if it has not been read yet.
  package func digest(of info: TensorInfo) throws(StorageError) -> ContentDigest {
    if let known = digests.withLock({ $0[ExactString(info.name)] }) { return known }
    return try bytes(of: info).withBytes { ContentDigest(of: $0) }
  }
}
