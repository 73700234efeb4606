import TMPackByteIO
import TMPackDigests

/// The members of a ZIP archive, for readers that trust nothing in it.
///
/// Both headers of every entry must agree, no name may occur twice, and no byte may belong to two entries; what a
/// lenient reader would settle by guessing is refused.
struct ZipArchive: Sendable {
  let file: ReadableFile
  /// In the order of their bytes.
  let entries: [ZipEntry]
  /// Whether there are any checksums: PyTorch leaves all of them zero when it is told to (`set_crc32_options`).
  let hasChecksums: Bool
  private let indexes: [ExactString: Int]

  init(_ file: ReadableFile) throws(StorageError) {
    self.file = file
    entries = try located(file: file.path) { () throws(StorageError) in try ZipDirectory(of: file).entries(in: file) }
    var indexes: [ExactString: Int] = [:]
    for (index, entry) in entries.enumerated() {
      guard indexes.updateValue(index, forKey: ExactString(entry.name)) == nil else {
        throw StorageError(.malformed, "holds two entries named \(entry.name.debugDescription)", file: file.path)
      }
    }
    self.indexes = indexes
    hasChecksums = entries.contains { $0.checksum != 0 }
  }

  subscript(name: String) -> ZipEntry? { indexes[ExactString(name)].map { entries[$0] } }

  /// The whole of an entry, checked against its checksum.
  func bytes(of entry: ZipEntry, atMost limit: Int) throws(StorageError) -> [UInt8] {
    try Limits.check(entry.size, atMost: limit, "the size of \(entry.name)")
    var bytes = [UInt8](repeating: 0, count: Int(entry.size))
    try read(entry, into: &bytes, whole: true)
    return bytes
  }

  /// The first bytes of an entry, as many as there are up to `count`; nothing is checked against the checksum.
  func prefix(of entry: ZipEntry, _ count: Int) throws(StorageError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(min(entry.size, UInt64(count))))
    try read(entry, into: &bytes, whole: false)
    return bytes
  }

  private func read(_ entry: ZipEntry, into bytes: inout [UInt8], whole: Bool) throws(StorageError) {
    var failure: StorageError?
    bytes.withUnsafeMutableBytes { memory in
      do throws(StorageError) {
        if whole { try read(entry, into: memory) } else { try fill(memory, from: entry, whole: false) }
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Fills `memory`, exactly the entry's size, and checks the checksum.
  func read(_ entry: ZipEntry, into memory: UnsafeMutableRawBufferPointer) throws(StorageError) {
    precondition(UInt64(memory.count) == entry.size, "room for exactly the entry")
    try fill(memory, from: entry, whole: true)
    try check(CRC32.of(UnsafeRawBufferPointer(memory)), against: entry)
  }

  /// - Throws: `digestMismatch` unless `checksum`, of the whole entry, is what the archive says, if it says any.
  func check(_ checksum: CRC32, against entry: ZipEntry) throws(StorageError) {
    guard !hasChecksums || checksum.value == entry.checksum else {
      throw StorageError(
        .digestMismatch, "\(entry.name) does not have the checksum that the archive says", file: file.path,
        offset: entry.dataOffset)
    }
  }

  private func fill(
    _ memory: UnsafeMutableRawBufferPointer, from entry: ZipEntry, whole: Bool
  ) throws(StorageError) {
    if entry.method == ZipFormat.stored {
      return try file.read(at: entry.dataOffset, into: memory)
    }
    do throws(StorageError) {
      try file.withBytes(at: entry.dataOffset, count: Int(entry.storedSize)) { bytes throws(StorageError) in
        try Inflate.run(bytes, into: memory, whole: whole)
      }
    } catch {
      throw error.at(file: file.path, offset: entry.dataOffset)
    }
  }
}
