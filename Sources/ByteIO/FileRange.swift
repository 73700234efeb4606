/// Bytes of a file, for who copies them as they are.
public struct FileRange: Sendable {
  package let file: ReadableFile
  public let offset: UInt64
  public let count: Int

  package init(_ file: ReadableFile, at offset: UInt64, count: Int) {
    (self.file, self.offset, self.count) = (file, offset, count)
  }

  /// All of a file.
  package init(_ file: ReadableFile) { self.init(file, at: 0, count: Int(file.size)) }

  /// Fills `destination` with the bytes from `start` on, by system calls even where the file is mapped: for bytes that
  /// are looked at once that is faster than the page faults.
  /// - Throws: `truncated` when the file ends before.
  public func copy(from start: Int, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    precondition(start >= 0 && destination.count <= count - start, "within the range")
    try file.copy(at: offset + UInt64(start), into: destination)
  }
}
