import TMPackByteIO
import TMPackDigests

/// Where one frame is and how to decode it.
///
/// ```
///  0 8 offset   8 4 stored size   12 4 raw size   16 1 codec   17 1 filter   18 1 width   19 1 reserved
/// 20 4 checksum, or reserved   24 32 digest
/// ```
package struct FrameRecord: Sendable, Hashable {
  static let byteCount = 56

  enum Codec: UInt8, Sendable {
    case raw = 0
    case zstd = 1
    /// TMP-5-12
    case checked = 2
  }

  package let extent: Extent
  package let rawSize: Int
  let codec: Codec
  package let filter: FrameFilter
  /// Of the codec that has one.
  private let checksum: CRC32?

  /// - Parameter checksum: of the bytes, if the codec has one.
  init(extent: Extent, rawSize: Int, codec: Codec, filter: FrameFilter, checksum: CRC32?) {
    precondition((checksum != nil) == (codec == .checked), "a checksum belongs to its codec")
    self.extent = extent
    self.rawSize = rawSize
    self.codec = codec
    self.filter = filter
    self.checksum = checksum
  }

  /// The same bytes elsewhere.
  func moved(to extent: Extent) -> FrameRecord {
    FrameRecord(extent: extent, rawSize: rawSize, codec: codec, filter: filter, checksum: checksum)
  }

  /// Whether the bytes are stored as they are.
  var isRaw: Bool { codec != .zstd }

  /// What a reader must know for it.
  var required: RequiredFeature? { codec == .checked ? .mappable : nil }

  init(parsing reader: inout ByteReader, archiveEnd: UInt64) throws(StorageError) {
    let offset: UInt64 = try reader.integer()
    let storedSize = Int(try reader.integer(UInt32.self))
    rawSize = Int(try reader.integer(UInt32.self))
    let codecNumber: UInt8 = try reader.integer()
    let filterNumber: UInt8 = try reader.integer()
    let width = Int(try reader.integer(UInt8.self))
    try reader.zeros(1)
    let checksumBits: UInt32 = try reader.integer()
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
    guard codec == .checked || checksumBits == 0 else {
      throw StorageError(.malformed, "a frame has a checksum that its codec does not have", offset: offset)
    }
    checksum = codec == .checked ? CRC32(checksumBits) : nil
    if codec != .zstd {
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
    writer.zeros(1)
    writer.integer(checksum?.value ?? 0)
    writer.append(extent.digest.bytes)
  }

  /// Decodes the stored bytes of the frame into exactly `rawSize` bytes.
  ///
  /// The digest is checked for raw frames always, and for those that have a checksum if `checkingDigest` (TMP-5-6, TMP-5-12).
  func decode(
    _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer, checkingDigest: Bool
  ) throws(StorageError) {
    if checkingDigest || codec == .raw { try extent.check(stored, "a frame") }
    switch codec {
    case .raw: raw.copyMemory(from: stored)
    case .checked:
      raw.copyMemory(from: stored)
      if !checkingDigest { try checkChecksum(of: UnsafeRawBufferPointer(raw)) }
    case .zstd: try filter.decompress(stored, into: raw)
    }
  }

  /// Whether its bytes can be read to where they are needed, and be checked there by `checkChecksum`.
  var canBeReadInPlace: Bool { codec == .checked }

  /// - Throws: `digestMismatch`.
  func checkChecksum(of raw: UnsafeRawBufferPointer) throws(StorageError) {
    let actual = CRC32.of(raw)
    guard let checksum, actual != checksum else { return }
    throw StorageError(.digestMismatch, "expected checksum \(checksum), found \(actual)", offset: extent.offset)
  }
}
