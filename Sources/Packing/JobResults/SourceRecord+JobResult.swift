import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJournal

extension SourceRecord: JobResult {
  /// - Parameter subject: the file's path.
  package init(parsing reader: inout ByteReader, of subject: String) throws(StorageError) {
    let size = UInt64(try reader.count())
    self.init(name: FileTree.lastComponent(subject), size: size, digest: try reader.digest())
  }

  package func write(to writer: inout ByteWriter) {
    writer.integer(size)
    writer.append(digest.bytes)
  }
}
