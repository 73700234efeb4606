/// Where sequential output goes: a file, or in tests a sink that fails.
package protocol ByteSink: AnyObject {
  /// Bytes written so far.
  var position: UInt64 { get }
  func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError)
}

/// A sink whose earlier bytes can be changed, such as a header or a checksum that could not be known before.
package protocol OverwritableSink: ByteSink {
  /// - Precondition: all of these bytes were written.
  func overwrite(_ bytes: [UInt8], at offset: UInt64) throws(StorageError)
}

extension ByteSink {
  package func write(_ bytes: [UInt8]) throws(StorageError) {
    try bytes.withBytes { raw throws(StorageError) in try write(raw) }
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` that keeps the error's type.
  @inlinable
  package func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    try withUnsafeBufferPointer { buffer throws(StorageError) in
      try body(UnsafeRawBufferPointer(buffer))
    }
  }
}
