import TMPackByteIO
import TMPackDigests

/// Where one frame is and how to decode it.
///
/// ```
///  0 8 offset   8 4 stored size   12 4 raw size   16 1 codec   17 1 filter   18 1 width   19 5 reserved   24 32 digest
/// ```
package struct FrameRecord: Sendable, Hashable {
  static let byteCount = 56

  enum Codec: UInt8, Sendable {
    case raw = 0
    case zstd = 1
  }

  package let extent: Extent
  package let rawSize: Int
  let codec: Codec
  package let filter: FrameFilter

  init(extent: Extent, rawSize: Int, codec: Codec, filter: FrameFilter) {
    self.extent = extent
    self.rawSize = rawSize
    self.codec = codec
    self.filter = filter
  }

  init(parsing reader: inout ByteReader, archiveEnd: UInt64) throws(StorageError) {
    let offset: UInt64 = try reader.integer()
    let storedSize = Int(try reader.integer(UInt32.self))
    rawSize = Int(try reader.integer(UInt32.self))
    let codecNumber: UInt8 = try reader.integer()
    let filterNumber: UInt8 = try reader.integer()
    let width = Int(try reader.integer(UInt8.self))
    try reader.zeros(5)
    let digest = ContentDigest(bytes: try reader.take(ContentDigest.byteCount))
    extent = try Extent(offset: offset, storedSize: storedSize, digest: digest, archiveEnd: archiveEnd)

    // TMP-5-3, TMP-9-6
    guard rawSize > 0 else { throw StorageError(.malformed, "a frame is empty", offset: offset) }
    try Limits.check(rawSize, atMost: Limits.frameBytes, "the raw size of a frame")
    guard let codec = Codec(rawValue: codecNumber) else {
      throw StorageError(.malformed, "a frame has the unknown codec \(codecNumber)", offset: offset)
    }
    guard let filter = FrameFilter(number: filterNumber, width: width) else {
      throw StorageError(.malformed, "a frame has the unknown filter \(filterNumber) of width \(width)", offset: offset)
    }
    self.filter = filter
    guard rawSize.isMultiple(of: max(1, width)) else {
      throw StorageError(.malformed, "a frame's raw size is not a multiple of its filter's width", offset: offset)
    }
    if codec == .raw {
      guard storedSize == rawSize, filter == .none, offset.isMultiple(of: Layout.rawAlignment) else {
        throw StorageError(.malformed, "a raw frame is filtered, unaligned or of two sizes", offset: offset)
      }
    }
    if codec == .zstd, storedSize >= rawSize {
      throw StorageError(.malformed, "a zstd frame is not smaller than its raw bytes", offset: offset)
    }
    self.codec = codec
  }

  func write(to writer: inout ByteWriter) {
    writer.integer(extent.offset)
    writer.integer(UInt32(extent.storedSize))
    writer.integer(UInt32(rawSize))
    writer.integer(codec.rawValue)
    writer.integer(filter.number)
    writer.integer(UInt8(filter.width))
    writer.zeros(5)
    writer.append(extent.digest.bytes)
  }

  /// Decodes the stored bytes of the frame into exactly `rawSize` bytes.
  ///
  /// The digest is checked for raw frames always and for zstd frames, which carry a checksum, if `checkingDigest` (TMP-5-6).
  func decode(
    _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer, checkingDigest: Bool
  ) throws(StorageError) {
    if checkingDigest || codec == .raw { try extent.check(stored, "a frame") }
    switch codec {
    case .raw: raw.copyMemory(from: stored)
    case .zstd: try filter.decompress(stored, into: raw)
    }
  }
}
