import TMPackArchiveFormat
import TMPackByteIO

/// The base itself: what LoRA-like deltas are taken against.
package struct BaseModel: MergingMethod {
  package static let kind = MergingMethodKind("base", "The base itself, unchanged.", paper: "none", scalesLayers: false)
  {
    _ throws(StorageError) in BaseModel()
  }

  package init() {}
  package var record: SharedMethod { SharedMethod(.base) }
  package var readsExperts: Bool { false }

  package func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    try group.forEachChunk { chunk throws(StorageError) in try merged.write(chunk.base, at: chunk.range) }
  }
}
