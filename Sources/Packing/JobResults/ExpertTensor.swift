import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJournal
import TMPackTensorKit

/// A tensor of an expert, and the shared tensor that its result was, or is to be, made against.
package struct ExpertTensor: Sendable {
  package let info: TensorInfo
  /// nil where the shared model has none of that name.
  package let base: ContentDigest?

  package init(_ info: TensorInfo, in shared: SharedManifest) {
    self.info = info
    base = shared.entry(named: info.name)?.digest
  }

  func checkBase(_ reader: inout ByteReader) throws(StorageError) {
    guard try reader.optionalDigest() == base else {
      throw StorageError(
        .malformed, "it was made against another shared model: a model has changed between the runs",
        offset: reader.offset)
    }
  }
}
