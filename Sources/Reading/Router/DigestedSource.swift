import Synchronization
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A source that remembers the digest of each tensor that was read: what a receipt says of an output.
///
/// Safe to use from several threads.
package final class DigestedSource: TensorSource {
  private let base: any TensorSource
  private let digests = Mutex<[ExactString: ContentDigest]>([:])

  package init(_ base: any TensorSource) { self.base = base }

  package var tensors: [TensorInfo] { base.tensors }
  package var metadata: [String: String] { base.metadata }
  package var typedMetadata: TypedMetadata { base.typedMetadata }
  package var label: String { base.label }
  package var ties: [String: String] { base.ties }
  package var notes: [String] { base.notes }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try base.read(info, into: destination)
    remember(ContentDigest(of: UnsafeRawBufferPointer(destination)), info)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let bytes = try base.bytes(of: info)
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
