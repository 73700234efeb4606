/// Bytes of a file that can be copied to another without passing through the process.
public struct FileRange: Sendable {
  public let file: ReadableFile
  public let offset: UInt64
  public let count: Int

  public init(_ file: ReadableFile, at offset: UInt64, count: Int) {
    (self.file, self.offset, self.count) = (file, offset, count)
  }
}
