import ArchiveFormat
import ByteIO

/// The base itself: what LoRA-like deltas are taken against.
public struct BaseModel: MergingMethod {
  static let kind = MergingMethodKind("base", "The base itself, unchanged.", paper: "none", scalesLayers: false) {
    _ throws(StorageError) in BaseModel()
  }

  public init() {}
  public var record: SharedMethod { SharedMethod(.base) }
  public var readsExperts: Bool { false }

  public func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    try group.forEachChunk { chunk throws(StorageError) in try merged.write(chunk.base, at: chunk.range) }
  }
}
