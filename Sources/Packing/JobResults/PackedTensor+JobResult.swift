import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJournal
import TMPackTensorKit

extension PackedTensor: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    let source = try reader.digest()
    let extra = try reader.optional { reader throws(StorageError) in try EncodedPayload(parsing: &reader) }
    let content: Content
    switch try reader.integer(UInt8.self) {
    case 0: content = .unchanged
    case 1:
      let factor = try EncodedFactor(parsing: &reader)
      let measures = try reader.measures()
      let correction = try reader.optional { reader throws(StorageError) in
        try EncodedPayload(parsing: &reader, size: subject.byteCount)
      }
      content = .lossy(factor, measures, correction: correction)
    case 2: content = .difference(try EncodedPayload(parsing: &reader, size: subject.byteCount))
    case 3: content = .replaced(subject, try EncodedPayload(parsing: &reader, size: subject.byteCount))
    case 4:
      let measures = try reader.measures()
      content = .quantizedOwn(subject, try EncodedPayload(parsing: &reader), measures)
    default: throw StorageError(.malformed, "a packed tensor is of an unknown kind", offset: reader.offset)
    }
    self.init(name: subject.name, source: source, content: content, extra: extra)
  }

  package func write(to writer: inout ByteWriter) {
    writer.append(source.bytes)
    writer.optional(extra) { $1.write(to: &$0) }
    switch content {
    case .unchanged: writer.integer(UInt8(0))
    case .lossy(let factor, let measures, let correction):
      writer.integer(UInt8(1))
      factor.write(to: &writer)
      writer.measures(measures)
      writer.optional(correction) { $1.write(to: &$0) }
    case .difference(let payload):
      writer.integer(UInt8(2))
      payload.write(to: &writer)
    case .replaced(_, let payload):
      writer.integer(UInt8(3))
      payload.write(to: &writer)
    case .quantizedOwn(_, let payload, let measures):
      writer.integer(UInt8(4))
      writer.measures(measures)
      payload.write(to: &writer)
    }
  }
}
