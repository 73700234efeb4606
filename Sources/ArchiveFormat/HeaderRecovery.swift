import TMPackByteIO
import TMPackDigests
import TMPackZstandard

/// The header of a file that may be damaged, and what has to be written for it to be sound.
package struct HeaderRecovery: Sendable {
  package let slot: HeaderSlot
  package private(set) var repairs: [(offset: UInt64, bytes: [UInt8])] = []
  /// What follows the end of the archive.
  package let trailingBytes: UInt64

  /// Goes by the newest slot. One that is damaged is made anew if the file ends with an index, which is where writers put it: of
  /// generation 1, or of the one behind the other slot's.
  ///
  /// - Throws: what `HeaderSlots` does, if there is no such index.
  package init(of file: ReadableFile) throws(StorageError) {
    let slots: HeaderSlots
    do throws(StorageError) { slots = try HeaderSlots(of: file) } catch {
      guard [.unknownFormat, .malformed, .digestMismatch].contains(error.code),
        let slot = HeaderSlot(endingWith: file, generation: 1)
      else { throw error }
      self.slot = slot
      trailingBytes = 0
      rewriteSlot()
      return
    }
    let trailing = file.size - slots.active.archiveEnd
    if trailing > 0, slots.hasDamage,
      let slot = HeaderSlot(endingWith: file, generation: slots.active.generation + 1)
    {
      self.slot = slot
      trailingBytes = 0
      rewriteSlot()
    } else {
      slot = slots.active
      trailingBytes = trailing
      if slot.generation == 1 { eraseSecondSlot() }
    }
  }

  private mutating func rewriteSlot() {
    repairs.append((Layout.slotOffsets[HeaderSlot.slot(ofGeneration: slot.generation)], slot.encoded()))
    if slot.generation == 1 { eraseSecondSlot() }
  }

  /// A first generation has used one only.
  private mutating func eraseSecondSlot() {
    repairs.append((Layout.slotOffsets[1], [UInt8](repeating: 0, count: Layout.slotSize)))
  }
}

extension HeaderSlots {
  fileprivate var hasDamage: Bool {
    states.contains { if case .damaged = $0 { true } else { false } }
  }
}

extension HeaderSlot {
  /// The slot for the index that a file ends with; nil if it ends with none.
  fileprivate init?(endingWith file: ReadableFile, generation: UInt64) {
    /// More than the index of 65,536 experts takes; and places in it where a frame seems to begin that are tried.
    let (mostBytes, mostAttempts) = (UInt64(16 << 20), 1000)
    guard file.size > Layout.contentStart,
      let tail = try? file.bytes(
        at: max(Layout.contentStart, file.size - min(file.size, mostBytes)),
        count: Int(min(file.size - Layout.contentStart, mostBytes)))
    else { return nil }
    let first: UInt8 = 0x28
    var attempts = 0
    for start in tail.indices.reversed() where tail[start] == first && attempts < mostAttempts {
      let stored = tail[start...]
      guard stored.starts(with: [first, 0xB5, 0x2F, 0xFD]) else { continue }
      attempts += 1
      guard let raw = try? Self.index(Array(stored)), (try? Self.parsed(raw, archiveEnd: file.size)) != nil else {
        continue
      }
      let extent = Extent(
        written: file.size - UInt64(stored.count), storedSize: stored.count, digest: ContentDigest(of: Array(stored)))
      self.init(generation: generation, archiveEnd: file.size, index: extent, indexRawSize: raw.count)
      return
    }
    return nil
  }

  private static func index(_ stored: [UInt8]) throws(StorageError) -> [UInt8] {
    try stored.withBytes { stored throws(StorageError) in
      let size = try Zstandard.contentSize(of: stored)
      try Limits.check(size, atMost: Limits.indexBytes, "the raw size of the index")
      return try [UInt8](count: Int(size)) { raw throws(StorageError) in try Zstandard.decompress(stored, into: raw) }
    }
  }

  private static func parsed(_ raw: [UInt8], archiveEnd: UInt64) throws(StorageError) -> ArchiveIndex {
    try raw.withBytes { raw throws(StorageError) in try ArchiveIndex(parsing: raw, archiveEnd: archiveEnd) }
  }
}
