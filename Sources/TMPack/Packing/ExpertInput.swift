import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import Factorization
import TensorKit

/// A fine-tuned checkpoint to be packed under a name.
public struct ExpertInput: Sendable {
  public let name: String
  public let checkpoint: Checkpoint
  /// The checkpoint's tensors, if it is an adapter on a base.
  let adapted: AdaptedSource?

  /// - Throws: `malformed` for a name that breaks the rules of `ExpertName`.
  public init(name: String, checkpoint: Checkpoint) throws(StorageError) {
    try ExpertName.check(name)
    self.name = name
    self.checkpoint = checkpoint
    adapted = checkpoint.source as? AdaptedSource
  }

  /// What the expert adds to a shared tensor as a product of few components; nil when it is not known as one, or is added to
  /// another tensor than the shared one.
  func product(of info: TensorInfo, against shared: SharedEntry) throws(StorageError) -> LowRankProduct? {
    guard let adapted, let product = try adapted.product(of: info) else { return nil }
    let isAddedToShared = try adapted.unadapted(info).withBytes { Digest(of: $0) == shared.digest }
    return isAddedToShared ? product : nil
  }
}
