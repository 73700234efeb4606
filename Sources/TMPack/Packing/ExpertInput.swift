import ArchiveFormat
import ByteIO
import Checkpoints
import TensorKit

/// A fine-tuned checkpoint to be packed under a name.
public struct ExpertInput: Sendable {
  public let name: String
  public let checkpoint: Checkpoint

  /// - Throws: `malformed` for a name that breaks the rules of `ExpertName`.
  public init(name: String, checkpoint: Checkpoint) throws(StorageError) {
    try ExpertName.check(name)
    self.name = name
    self.checkpoint = checkpoint
  }
}
