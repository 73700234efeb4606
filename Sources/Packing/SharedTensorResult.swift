import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A tensor of the shared model, ready to be written.
package struct SharedTensorResult: Sendable {
  package enum Content: Sendable {
    case embedded(EncodedPayload)
    case detached(CRC32)
  }
  let digest: ContentDigest
  /// Elements that are too large for the dtype.
  package let overflows: Int
  package let content: Content

  /// - Parameters:
  ///   - scan: of the tensor, with a checksum for a detached archive.
  ///   - scratch: for large payloads; nil holds them.
  package init(
    _ info: TensorInfo, _ tensor: OpenTensor, _ scan: TensorScan, overflows: Int = 0, as form: SharedForm,
    scratch: PayloadScratch? = nil
  ) throws(StorageError) {
    let content: Content
    switch form {
    case .compressed(let level):
      content = .embedded(try EncodedPayload(tensor: tensor, dtype: info.dtype, level: level, scratch: scratch))
    case .mappable(let level):
      content = .embedded(
        try EncodedPayload(tensor: tensor, dtype: info.dtype, level: level, isMappable: true, scratch: scratch))
    case .detached:
      guard let checksum = scan.checksum else { preconditionFailure("a detached tensor is bound by its checksum") }
      content = .detached(checksum)
    }
    self.init(digest: scan.digest, overflows: overflows, content: content)
  }

  package init(digest: ContentDigest, overflows: Int, content: Content) {
    self.digest = digest
    self.overflows = overflows
    self.content = content
  }

  /// nil in a detached archive.
  package var payload: EncodedPayload? {
    if case .embedded(let payload) = content { payload } else { nil }
  }

  /// The tensor's entry, once what it has of payload is placed.
  package func entry(_ info: TensorInfo, placing place: (EncodedPayload) throws(StorageError) -> PayloadReference)
    throws(StorageError) -> SharedEntry
  {
    switch content {
    case .embedded(let payload): SharedEntry(info: info, digest: digest, content: .embedded(try place(payload)))
    case .detached(let checksum): SharedEntry(info: info, digest: digest, content: .detached(checksum))
    }
  }
}
