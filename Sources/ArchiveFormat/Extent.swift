import TMPackByteIO
import TMPackDigests

/// A contiguous range of the archive file and what its bytes must hash to (TMP-1-3).
package struct Extent: Sendable, Hashable {
  package let offset: UInt64
  package let storedSize: Int
  package let digest: ContentDigest

  /// One past the last byte.
  package var end: UInt64 { offset + UInt64(storedSize) }

  /// - Throws: `malformed` when the range does not lie between the header and `archiveEnd` (TMP-2-1).
  init(offset: UInt64, storedSize: Int, digest: ContentDigest, archiveEnd: UInt64) throws(StorageError) {
    guard offset >= Layout.contentStart, storedSize > 0, offset <= archiveEnd,
      UInt64(storedSize) <= archiveEnd - offset
    else {
      throw StorageError(
        .malformed, "an extent of \(storedSize) bytes lies outside the archive, which ends at byte \(archiveEnd)",
        offset: offset)
    }
    self.offset = offset
    self.storedSize = storedSize
    self.digest = digest
  }

  /// An extent that was just written.
  init(written offset: UInt64, storedSize: Int, digest: ContentDigest) {
    self.offset = offset
    self.storedSize = storedSize
    self.digest = digest
  }

  /// Throws `digestMismatch`, naming both digests, unless `stored` hashes to `digest`.
  func check(_ stored: UnsafeRawBufferPointer, _ what: String) throws(StorageError) {
    let actual = ContentDigest(of: stored)
    guard actual == digest else { throw mismatch(what, actual) }
  }

  func mismatch(_ what: String, _ actual: ContentDigest) -> StorageError {
    StorageError(
      .digestMismatch, "\(what), \(storedSize) bytes, is damaged: expected digest \(digest), found \(actual)",
      offset: offset)
  }
}

/// Counts stored bytes, each extent once.
struct CountedExtents {
  private var seen: Set<UInt64> = []

  /// The stored bytes of those extents that were not there before.
  mutating func add(_ extents: [Extent]) -> UInt64 {
    extents.reduce(0) { sum, extent in
      seen.insert(extent.offset).inserted ? sum + UInt64(extent.storedSize) : sum
    }
  }
}

/// Fixed places in the file (TMP-2-1).
enum Layout {
  static let slotSize = 4096
  static let slotOffsets: [UInt64] = [0, 4096]
  static let contentStart: UInt64 = 8192
  /// Where raw frames begin: multiples of it (TMP-5-3).
  static let rawAlignment: UInt64 = 64
}
