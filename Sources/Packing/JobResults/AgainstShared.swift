import TMPackByteIO
import TMPackDigests
import TMPackJournal
import TMPackTensorKit

/// A job's result together with the digest of the shared tensor that it was made against: one of another shared model
/// is none.
package struct AgainstShared<Result: Sendable>: Sendable {
  package let result: Result
  package let base: ContentDigest?
}

extension AgainstShared: JobResult where Result: JobResult, Result.Subject == TensorInfo {
  package init(parsing reader: inout ByteReader, of subject: ExpertTensor) throws(StorageError) {
    try subject.checkBase(&reader)
    base = subject.base
    result = try Result(parsing: &reader, of: subject.info)
  }

  package func write(to writer: inout ByteWriter) {
    writer.optional(base)
    result.write(to: &writer)
  }
}
