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

  package init(_ info: TensorInfo, _ bytes: UnsafeRawBufferPointer, overflows: Int = 0, as form: SharedForm) {
    let content: Content =
      switch form {
      case .mappable where bytes.count > EncodedPayload.pooledSize: .embedded(EncodedPayload(mappable: bytes))
      case .mappable(let level), .compressed(let level):
        .embedded(EncodedPayload(tensor: bytes, dtype: info.dtype, level: level))
      case .detached: .detached(CRC32.of(bytes))
      }
    self.init(digest: ContentDigest(of: bytes), overflows: overflows, content: content)
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
