import TMPackByteIO
import TMPackTensorKit

extension TensorBytes {
  /// Bytes of a file: a view of its mapping, or a copy where it is not mapped or the bytes are not aligned.
  convenience init(of file: ReadableFile, at offset: UInt64, count: Int, alignment: Int) throws(StorageError) {
    if offset.isMultiple(of: UInt64(alignment)), let view = try file.mappedBytes(at: offset, count: count) {
      self.init(viewing: view, keeping: file)
    } else {
      try self.init(count: count) { memory throws(StorageError) in try file.read(at: offset, into: memory) }
    }
  }
}
