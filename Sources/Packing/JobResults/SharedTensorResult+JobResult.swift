import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJournal
import TMPackTensorKit

extension SharedTensorResult: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    let digest = try reader.digest()
    let overflows = try reader.count()
    let payload = try reader.optional { reader throws(StorageError) in
      try EncodedPayload(parsing: &reader, size: subject.byteCount)
    }
    if let payload {
      self.init(digest: digest, overflows: overflows, content: .embedded(payload))
    } else {
      self.init(digest: digest, overflows: overflows, content: .detached(CRC32(try reader.integer())))
    }
  }

  package func write(to writer: inout ByteWriter) {
    writer.append(digest.bytes)
    writer.integer(UInt64(overflows))
    writer.optional(payload) { $1.write(to: &$0) }
    if case .detached(let checksum) = content { writer.integer(checksum.value) }
  }
}
