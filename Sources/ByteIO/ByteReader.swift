/// A cursor over bytes, little-endian unless told otherwise, that can only move forward and never past the end.
@usableFromInline
package struct ByteReader {
  @usableFromInline let bytes: UnsafeRawBufferPointer
  /// Where `bytes` begins in its file, so that errors can name the byte.
  @usableFromInline let base: UInt64
  @usableFromInline var position = 0
  /// Whether numbers have their highest byte first.
  @usableFromInline
  package var isBigEndian = false

  /// - Parameter bytes: must outlive the reader.
  package init(_ bytes: UnsafeRawBufferPointer, at base: UInt64 = 0) {
    self.bytes = bytes
    self.base = base
  }

  @inlinable
  package var remaining: Int { bytes.count - position }
  @inlinable
  package var offset: UInt64 { base + UInt64(position) }

  @inlinable
  package mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(StorageError) -> Value {
    let raw = try take(MemoryLayout<Value>.size)
    let value = raw.loadUnaligned(as: Value.self)
    return isBigEndian ? Value(bigEndian: value) : Value(littleEndian: value)
  }

  /// The next `count` bytes, not copied.
  @inlinable
  package mutating func take(_ count: Int) throws(StorageError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw StorageError(
        .truncated, "needs \(count) more bytes, \(remaining) are left", offset: offset)
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
  }

  /// Skips `count` bytes that must all be zero.
  package mutating func zeros(_ count: Int) throws(StorageError) {
    let start = offset
    let raw = try take(count)
    if let index = raw.firstIndex(where: { $0 != 0 }) {
      throw StorageError(.malformed, "a reserved byte is not zero", offset: start + UInt64(index))
    }
  }
}
