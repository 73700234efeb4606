import TMPackByteIO

/// The central directory: where it is, what it says, and whether the rest of the file agrees.
struct ZipDirectory {
  private let offset: UInt64
  private let byteCount: UInt64
  private let entryCount: UInt64

  // MARK: Finding it (APPNOTE 4.3.14 to 4.3.16)

  /// - Throws: `truncated` when the end of the archive is missing; `malformed`; `unsupportedFeature` for an archive
  ///   over several files.
  init(of file: ReadableFile) throws(StorageError) {
    let (end, record) = try Self.endRecord(of: file)
    var fields = record
    var limit = end
    if let (place, wide) = try Self.zip64Record(of: file, before: end) {
      // A reader that knows no zip64 must not see another archive.
      guard record.offset == UInt64(ZipFormat.inZip64) || record.offset == wide.offset,
        record.byteCount == UInt64(ZipFormat.inZip64) || record.byteCount == wide.byteCount,
        record.entryCount == 0xFFFF || record.entryCount == wide.entryCount
      else { throw StorageError(.malformed, "the two records at the archive's end disagree", offset: place) }
      (limit, fields) = (place, wide)
    }
    guard fields.offset <= limit, fields.byteCount == limit - fields.offset else {
      throw StorageError(
        .malformed, "the central directory is not where the end of the archive says", offset: limit)
    }
    try Limits.check(fields.byteCount, atMost: Limits.zipDirectoryBytes, "the size of the central directory")
    try Limits.check(fields.entryCount, atMost: Limits.zipEntries, "the number of entries")
    (offset, byteCount, entryCount) = (fields.offset, fields.byteCount, fields.entryCount)
  }

  private struct EndRecord {
    var entryCount: UInt64
    var byteCount: UInt64
    var offset: UInt64
  }

  private static let severalFiles = StorageError(.unsupportedFeature, "is a ZIP archive over several files")

  /// The end record is the last of the file but for a comment, which must reach exactly to the end.
  private static func endRecord(of file: ReadableFile) throws(StorageError) -> (at: UInt64, EndRecord) {
    let count = Int(min(file.size, UInt64(ZipFormat.endBytes + ZipFormat.commentBytes)))
    let start = file.size - UInt64(count)
    return try file.withBytes(at: start, count: count) { tail throws(StorageError) in
      var place = count - ZipFormat.endBytes
      while place >= 0 {
        var input = ByteReader(UnsafeRawBufferPointer(rebasing: tail[place...]), at: start + UInt64(place))
        if try input.integer(UInt32.self) == ZipFormat.endSignature {
          let disks = (try input.integer(UInt16.self), try input.integer(UInt16.self))
          let entriesHere = try input.integer(UInt16.self)
          let entries = try input.integer(UInt16.self)
          let byteCount = try input.integer(UInt32.self)
          let offset = try input.integer(UInt32.self)
          if Int(try input.integer(UInt16.self)) == input.remaining {
            guard disks == (0, 0), entriesHere == entries else { throw severalFiles }
            return (
              start + UInt64(place),
              EndRecord(entryCount: UInt64(entries), byteCount: UInt64(byteCount), offset: UInt64(offset))
            )
          }
        }
        place -= 1
      }
      throw StorageError(.truncated, "the end of the ZIP archive is missing", offset: file.size)
    }
  }

  private static func zip64Record(
    of file: ReadableFile, before end: UInt64
  ) throws(StorageError) -> (at: UInt64, EndRecord)? {
    guard end >= UInt64(ZipFormat.locator64Bytes) else { return nil }
    let locator = end - UInt64(ZipFormat.locator64Bytes)
    let place = try file.withBytes(at: locator, count: ZipFormat.locator64Bytes) {
      raw throws(StorageError) -> UInt64? in
      var input = ByteReader(raw, at: locator)
      guard try input.integer(UInt32.self) == ZipFormat.locator64Signature else { return nil }
      let disk = try input.integer(UInt32.self)
      let offset = try input.integer(UInt64.self)
      guard disk == 0, try input.integer(UInt32.self) <= 1 else { throw severalFiles }
      return offset
    }
    guard let place else { return nil }
    guard place <= locator, locator - place >= UInt64(ZipFormat.end64Bytes) else {
      throw StorageError(.malformed, "the zip64 record is not where its locator says", offset: locator)
    }
    return try file.withBytes(at: place, count: ZipFormat.end64Bytes) { raw throws(StorageError) in
      var input = ByteReader(raw, at: place)
      guard try input.integer(UInt32.self) == ZipFormat.end64Signature else {
        throw StorageError(.malformed, "the zip64 record is not where its locator says", offset: locator)
      }
      // The record's size counts from behind this field.
      guard try input.integer(UInt64.self) == locator - place - 12 else {
        throw StorageError(.malformed, "the zip64 record does not end at its locator", offset: place)
      }
      _ = try input.take(4)
      let disks = (try input.integer(UInt32.self), try input.integer(UInt32.self))
      let entriesHere = try input.integer(UInt64.self)
      let entries = try input.integer(UInt64.self)
      guard disks == (0, 0), entriesHere == entries else { throw severalFiles }
      return (
        place,
        EndRecord(entryCount: entries, byteCount: try input.integer(), offset: try input.integer())
      )
    }
  }

  // MARK: Reading it (APPNOTE 4.3.12 and 4.3.7)

  /// Every entry, in the order of their bytes, each checked against its local header and its neighbours.
  func entries(in file: ReadableFile) throws(StorageError) -> [ZipEntry] {
    guard entryCount <= byteCount / UInt64(ZipFormat.centralHeaderBytes) else {
      throw StorageError(.malformed, "the central directory has no room for \(entryCount) entries", offset: offset)
    }
    var headers = try file.withBytes(at: offset, count: Int(byteCount)) { raw throws(StorageError) in
      var input = ByteReader(raw, at: offset)
      var headers: [CentralHeader] = []
      headers.reserveCapacity(Int(entryCount))
      for _ in 0..<entryCount { headers.append(try CentralHeader(parsing: &input)) }
      guard input.remaining == 0 else {
        throw StorageError(.malformed, "bytes follow the last entry of the central directory", offset: input.offset)
      }
      return headers
    }
    headers.sort { $0.sizes.headerOffset < $1.sizes.headerOffset }
    var entries: [ZipEntry] = []
    entries.reserveCapacity(headers.count)
    var position: UInt64 = 0
    for header in headers {
      guard header.sizes.headerOffset >= position else {
        throw StorageError(
          .malformed, "the entry \(header.name.debugDescription) overlaps the one before it",
          offset: header.sizes.headerOffset)
      }
      let entry = try header.entry(in: file, before: offset)
      position = entry.dataOffset + entry.storedSize
      entries.append(entry)
    }
    return entries
  }

  private struct CentralHeader {
    let name: String
    let flags: UInt16
    let method: UInt16
    let checksum: UInt32
    let sizes: ZipFormat.Sizes

    init(parsing input: inout ByteReader) throws(StorageError) {
      let start = input.offset
      guard try input.integer(UInt32.self) == ZipFormat.centralSignature else {
        throw StorageError(.malformed, "an entry of the central directory does not begin as one", offset: start)
      }
      _ = try input.take(4)
      flags = try input.integer()
      method = try input.integer()
      _ = try input.take(4)
      checksum = try input.integer()
      let storedSize = try input.integer(UInt32.self)
      let size = try input.integer(UInt32.self)
      let nameCount = Int(try input.integer(UInt16.self))
      let extraCount = Int(try input.integer(UInt16.self))
      let commentCount = Int(try input.integer(UInt16.self))
      let disk = try input.integer(UInt16.self)
      _ = try input.take(6)
      let headerOffset = try input.integer(UInt32.self)
      name = try ZipDirectory.name(input.take(nameCount), at: start)
      let extraOffset = input.offset
      let extra = try input.take(extraCount)
      _ = try input.take(commentCount)
      guard disk == 0 else { throw severalFiles }
      guard flags & (ZipFormat.encrypted | ZipFormat.patched) == 0 else {
        throw StorageError(.unsupportedFeature, "the entry \(name.debugDescription) is encrypted", offset: start)
      }
      guard method == ZipFormat.stored || method == ZipFormat.deflated else {
        throw StorageError(
          .unsupportedFeature, "the entry \(name.debugDescription) is compressed by method \(method)", offset: start)
      }
      var sizes = ZipFormat.Sizes(
        size: UInt64(size), storedSize: UInt64(storedSize), headerOffset: UInt64(headerOffset))
      try ZipFormat.widen(&sizes, extra: extra, at: extraOffset)
      self.sizes = sizes
      guard method == ZipFormat.deflated || sizes.size == sizes.storedSize else {
        throw StorageError(.malformed, "the stored entry \(name.debugDescription) has two sizes", offset: start)
      }
      let most = sizes.storedSize.multipliedReportingOverflow(by: Limits.deflateExpansion)
      guard most.overflow || sizes.size <= most.partialValue else {
        throw StorageError(
          .malformed, "\(sizes.storedSize) bytes cannot hold the \(sizes.size) of \(name.debugDescription)",
          offset: start)
      }
    }

    /// Where the data is, once the local header has said the same.
    /// - Parameter limit: where the central directory begins; the data ends before.
    func entry(in file: ReadableFile, before limit: UInt64) throws(StorageError) -> ZipEntry {
      let start = sizes.headerOffset
      func disagreement(_ what: String) -> StorageError {
        StorageError(
          .malformed, "the two headers of \(name.debugDescription) disagree on \(what)", offset: start)
      }
      let fixed = UInt64(ZipFormat.localHeaderBytes)
      guard start <= limit, limit - start >= fixed else {
        throw StorageError(
          .malformed, "the entry \(name.debugDescription) begins beyond the archive's end", offset: start)
      }
      let room = Int(min(limit - start, fixed + 2 * 0xFFFF))
      let dataOffset = try file.withBytes(at: start, count: room) { raw throws(StorageError) in
        var input = ByteReader(raw, at: start)
        guard try input.integer(UInt32.self) == ZipFormat.localSignature else {
          throw StorageError(
            .malformed, "the entry \(name.debugDescription) has no header where the archive says", offset: start)
        }
        _ = try input.take(2)
        let localFlags = try input.integer(UInt16.self)
        guard try input.integer(UInt16.self) == method else { throw disagreement("the method") }
        guard localFlags & ZipFormat.encrypted == 0 else { throw disagreement("the flags") }
        _ = try input.take(4)
        let localChecksum = try input.integer(UInt32.self)
        let localStored = try input.integer(UInt32.self)
        let localSize = try input.integer(UInt32.self)
        let nameCount = Int(try input.integer(UInt16.self))
        let extraCount = Int(try input.integer(UInt16.self))
        guard try input.take(nameCount).elementsEqual(name.utf8) else { throw disagreement("the name") }
        let extraOffset = input.offset
        let extra = try input.take(extraCount)
        if localFlags & ZipFormat.sizesFollow == 0 {
          var local = ZipFormat.Sizes(size: UInt64(localSize), storedSize: UInt64(localStored))
          try ZipFormat.widen(&local, extra: extra, at: extraOffset)
          guard local.size == sizes.size, local.storedSize == sizes.storedSize else { throw disagreement("the size") }
          guard localChecksum == checksum else { throw disagreement("the checksum") }
        }
        return input.offset
      }
      guard sizes.storedSize <= limit - dataOffset else {
        throw StorageError(
          .malformed, "the entry \(name.debugDescription) reaches into the central directory", offset: start)
      }
      return ZipEntry(
        name: name, method: method, checksum: checksum, storedSize: sizes.storedSize, size: sizes.size,
        dataOffset: dataOffset)
    }
  }

  /// A name as UTF-8, whatever the flag says: PyTorch writes UTF-8 without it, and the old code page 437 agrees with
  /// it on ASCII.
  private static func name(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(StorageError) -> String {
    guard let name = String(validating: bytes, as: UTF8.self) else {
      throw StorageError(.unsupportedFeature, "the name of an entry is not UTF-8", offset: offset)
    }
    return name
  }
}
