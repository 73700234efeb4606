/// Where sequential output goes: a file, or in tests a sink that fails.
public protocol ByteSink: AnyObject {
  /// Bytes written so far.
  var position: UInt64 { get }
  func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError)
  /// Writes bytes of a file; by default as any others.
  func write(_ range: FileRange) throws(StorageError)
}

extension ByteSink {
  public func write(_ bytes: [UInt8]) throws(StorageError) {
    try bytes.withBytes { raw throws(StorageError) in try write(raw) }
  }

  public func write(_ range: FileRange) throws(StorageError) {
    try range.file.withBytes(at: range.offset, count: range.count) { raw throws(StorageError) in try write(raw) }
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` that keeps the error's type.
  @inlinable
  public func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try withUnsafeBufferPointer { buffer throws(StorageError) in
      try body(UnsafeRawBufferPointer(buffer))
    }
  }
}
