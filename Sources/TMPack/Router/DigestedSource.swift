import ByteIO
import Digests
import Synchronization
import TensorKit

/// A source that remembers the digest of each tensor that was read: what a receipt says of an output.
///
/// Safe to use from several threads.
public final class DigestedSource: TensorSource {
  private let base: any TensorSource
  private let digests = Mutex<[ExactString: Digest]>([:])

  public init(_ base: any TensorSource) { self.base = base }

  public var tensors: [TensorInfo] { base.tensors }
  public var metadata: [String: String] { base.metadata }
  public var typedMetadata: TypedMetadata { base.typedMetadata }
  public var label: String { base.label }
  public var ties: [String: String] { base.ties }
  public var notes: [String] { base.notes }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try base.read(info, into: destination)
    remember(Digest(of: UnsafeRawBufferPointer(destination)), info)
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let bytes = try base.bytes(of: info)
    remember(try bytes.withBytes { Digest(of: $0) }, info)
    return bytes
  }

  private func remember(_ digest: Digest, _ info: TensorInfo) {
    digests.withLock { $0[ExactString(info.name)] = digest }
  }

  /// The digest of a tensor's bytes; reads the tensor if it has not been read yet.
  public func digest(of info: TensorInfo) throws(StorageError) -> Digest {
    if let known = digests.withLock({ $0[ExactString(info.name)] }) { return known }
    return try bytes(of: info).withBytes { Digest(of: $0) }
  }
}
