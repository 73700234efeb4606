import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import Factorization
import Models
import TensorKit

/// A fine-tuned checkpoint to be packed under a name.
public struct ExpertInput: Sendable {
  public let name: String
  public let checkpoint: Checkpoint
  /// The checkpoint's tensors, if it is an adapter on a base.
  let adapted: AdaptedSource?
  /// What was measured of the expert on data, for the merging methods that ask for it.
  public let statistics: (any TensorSource)?

  /// - Throws: `malformed` for a name that breaks the rules of `ExpertName`.
  public init(name: String, checkpoint: Checkpoint, statistics: (any TensorSource)? = nil) throws(StorageError) {
    try ExpertName.check(name)
    self.name = name
    self.checkpoint = checkpoint
    self.statistics = statistics
    adapted = checkpoint.source as? AdaptedSource
  }

  /// The expert in the dtypes of the model that it is to be compared with: see `MatchedDTypes`.
  public func matchingDTypes(of tensors: [TensorInfo]) throws(StorageError) -> ExpertInput {
    guard let source = try MatchedDTypes(checkpoint.source, as: tensors) else { return self }
    return try ExpertInput(name: name, checkpoint: checkpoint.replacing(source: source), statistics: statistics)
  }

  /// All that is read of it: what no output must replace.
  public var paths: [String] { [checkpoint.path] + [statistics].compactMap { $0?.label } }

  /// What the expert adds to a shared tensor as a product of few components; nil when it is not known as one, or is added to
  /// another tensor than the shared one.
  func product(of info: TensorInfo, against shared: SharedEntry) throws(StorageError) -> LowRankProduct? {
    guard let adapted, let product = try adapted.product(of: info) else { return nil }
    let isAddedToShared = try adapted.unadapted(info).withBytes { Digest(of: $0) == shared.digest }
    return isAddedToShared ? product : nil
  }
}

extension MergeSources {
  public init(base: Checkpoint, experts: [ExpertInput]) {
    self.init(
      base: base.source,
      experts: experts.map { Expert(name: $0.name, source: $0.checkpoint.source, statistics: $0.statistics) })
  }
}
