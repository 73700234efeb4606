import TMPackByteIO
import TMPackDigests

/// A valid header slot (TMP-3): where the index of one generation is.
///
/// ```
///   0  8 magic          24  8 archive end         56  8 reserved
///   8  2 major          32  8 index offset        64 32 root digest
///  10  2 minor          40  8 index stored size   96 32 digest of bytes 0 … 95
///  12  4 reserved       48  8 index raw size     128    reserved, to 4096
///  16  8 generation
/// ```
package struct HeaderSlot: Sendable, Hashable {
  package static let magic: [UInt8] = [0x89, 0x54, 0x4D, 0x50, 0x0D, 0x0A, 0x1A, 0x0A]
  package static let majorVersion: UInt16 = 1
  package static let minorVersion: UInt16 = 0

  package let generation: UInt64
  package let archiveEnd: UInt64
  /// The index; its digest is the root digest (TMP-3-6).
  package let index: Extent
  package let indexRawSize: Int

  init(generation: UInt64, archiveEnd: UInt64, index: Extent, indexRawSize: Int) {
    self.generation = generation
    self.archiveEnd = archiveEnd
    self.index = index
    self.indexRawSize = indexRawSize
  }

  /// Which of the two slots a generation lives in (TMP-2-4).
  static func slot(ofGeneration generation: UInt64) -> Int { Int((generation - 1) % 2) }

  /// - Parameter slot: all 4096 bytes, which begin at `base` in the file.
  init(parsing slot: UnsafeRawBufferPointer, at base: UInt64) throws(StorageError) {
    var reader = ByteReader(slot, at: base)
    // TMP-3-1
    guard try reader.take(Self.magic.count).elementsEqual(Self.magic) else {
      throw StorageError(.unknownFormat, "the magic number is missing", offset: base)
    }
    let major: UInt16 = try reader.integer()
    let minor: UInt16 = try reader.integer()
    // TMP-3-2: the digest comes before everything else, the version included.
    let expected = ContentDigest(bytes: slot[96..<128])
    let actual = ContentDigest(of: UnsafeRawBufferPointer(rebasing: slot[0..<96]))
    guard expected == actual else {
      throw StorageError(
        .digestMismatch, "the header slot is damaged: expected digest \(expected), found \(actual)", offset: base)
    }
    // TMP-3-3
    guard major == Self.majorVersion else {
      throw StorageError(
        .unsupportedVersion, "has format version \(major).\(minor); this build reads \(Self.majorVersion).x",
        offset: base + 8)
    }
    try reader.zeros(4)  // TMP-3-5
    generation = try reader.integer()
    guard generation >= 1 else { throw StorageError(.malformed, "the generation is 0", offset: base + 16) }  // TMP-3-4
    archiveEnd = try reader.integer()
    let indexOffset: UInt64 = try reader.integer()
    let storedSize: UInt64 = try reader.integer()
    let rawSize: UInt64 = try reader.integer()
    try Limits.check(storedSize, atMost: Limits.indexBytes, "the stored size of the index")
    try Limits.check(rawSize, atMost: Limits.indexBytes, "the raw size of the index")  // TMP-9-1
    try reader.zeros(8)
    let root = ContentDigest(bytes: try reader.take(ContentDigest.byteCount))
    index = try Extent(offset: indexOffset, storedSize: Int(storedSize), digest: root, archiveEnd: archiveEnd)
    indexRawSize = Int(rawSize)
    _ = try reader.take(ContentDigest.byteCount)
    try reader.zeros(Layout.slotSize - 128)
  }

  /// All 4096 bytes.
  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: Layout.slotSize)
    writer.append(Self.magic)
    writer.integer(Self.majorVersion)
    writer.integer(Self.minorVersion)
    writer.zeros(4)
    writer.integer(generation)
    writer.integer(archiveEnd)
    writer.integer(index.offset)
    writer.integer(UInt64(index.storedSize))
    writer.integer(UInt64(indexRawSize))
    writer.zeros(8)
    writer.append(index.digest.bytes)
    writer.append(ContentDigest(of: writer.bytes).bytes)
    writer.zeros(Layout.slotSize - 128)
    return writer.bytes
  }
}
