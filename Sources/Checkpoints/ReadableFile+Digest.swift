import TMPackByteIO
import TMPackDigests

extension ReadableFile {
  /// Of the whole file, read in pieces of 4 MiB.
  package func digest() throws(StorageError) -> ContentDigest {
    var digest = RunningDigest()
    var offset: UInt64 = 0
    while offset < size {
      let count = Int(min(4 << 20, size - offset))
      try withBytes(at: offset, count: count) { digest.update($0) }
      offset += UInt64(count)
    }
    return digest.finish()
  }
}
