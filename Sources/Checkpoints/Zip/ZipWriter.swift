import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// Streams a ZIP archive of stored entries whose sizes are known when they begin. Equal entries give equal bytes.
///
/// The data of every entry is aligned, as PyTorch maps it: a local extra field fills up its header.
struct ZipWriter {
  /// What PyTorch aligns storages to, and cache lines are.
  private static let alignment: UInt64 = 64
  /// 1 January 1980, the earliest date there is.
  private static let date: UInt16 = 0x21

  /// Where the checksum is in the headers of an entry: local and central.
  private static let checksumOffset = (local: 14, central: 16)

  private let sink: any OverwritableSink
  /// For tests: zip64 fields even where the sizes need none.
  private let alwaysZip64: Bool
  private var directory = ByteWriter()
  private var count: UInt64 = 0
  /// Where the current entry's data must end.
  private var end: UInt64
  /// Where the current entry's headers begin, in the file and in the directory, if its checksum is not known yet.
  private var open: (header: UInt64, record: Int)?

  init(to sink: any OverwritableSink, alwaysZip64: Bool = false) {
    self.sink = sink
    self.alwaysZip64 = alwaysZip64
    end = sink.position
  }

  /// A whole entry.
  mutating func add(_ name: String, _ bytes: [UInt8]) throws(StorageError) {
    let checksum = try bytes.withBytes { CRC32.of($0) }
    try begin(name, size: UInt64(bytes.count), checksum: checksum)
    try write(bytes)
    try end(checksum: checksum)
  }

  /// Begins an entry; `size` bytes are to be written next.
  ///
  /// - Parameter checksum: nil where only `end` can tell it.
  /// - Throws: `unsupportedFeature` for a name that no archive can hold; `limitExceeded` for an entry too many.
  mutating func begin(_ name: String, size: UInt64, checksum: CRC32?) throws(StorageError) {
    precondition(sink.position == end && open == nil, "the entry before has ended")
    try Limits.check(count + 1, atMost: Limits.zipEntries, "the number of entries")
    try Limits.check(directory.bytes.count, atMost: Limits.zipDirectoryBytes, "the size of the central directory")
    try Self.check(name)
    let name = Array(name.utf8)
    let nameCount = UInt16(name.count)
    let offset = sink.position
    if checksum == nil { open = (offset, directory.bytes.count) }
    let checksum = checksum?.value ?? 0
    let wideSize = needsZip64(size)
    let wideOffset = needsZip64(offset)
    let version: UInt16 = wideSize || wideOffset ? 45 : 20
    let flags = name.allSatisfy { $0 < 0x80 } ? 0 : ZipFormat.utf8

    var extra = ByteWriter()
    if wideSize { Self.zip64(&extra, [size, size]) }
    let unpadded = offset + UInt64(ZipFormat.localHeaderBytes + name.count + extra.bytes.count)
    Self.pad(&extra, by: Int(unpadded.roundedUp(toMultipleOf: Self.alignment) - unpadded))

    var header = ByteWriter()
    header.integer(ZipFormat.localSignature)
    Self.common(
      &header, version: version, flags: flags, checksum: checksum, size: wideSize ? nil : size, nameCount: nameCount,
      extraCount: extra.bytes.count)
    header.append(name)
    header.append(extra.bytes)
    try sink.write(header.bytes)
    end = sink.position + size

    var wide = ByteWriter()
    let values = (wideSize ? [size, size] : []) + (wideOffset ? [offset] : [])
    if !values.isEmpty { Self.zip64(&wide, values) }
    directory.integer(ZipFormat.centralSignature)
    // Made by: the same version, on the first of the systems, so that no file attributes are claimed.
    directory.integer(version)
    Self.common(
      &directory, version: version, flags: flags, checksum: checksum, size: wideSize ? nil : size, nameCount: nameCount,
      extraCount: wide.bytes.count)
    // No comment; disk 0; no attributes.
    directory.zeros(2 + 2 + 2 + 4)
    directory.integer(wideOffset ? ZipFormat.inZip64 : UInt32(offset))
    directory.append(name)
    directory.append(wide.bytes)
    count += 1
  }

  /// - Throws: `unsupportedFeature` for a name that no archive can hold.
  static func check(_ name: String) throws(StorageError) {
    guard name.utf8.count <= UInt16.max, !name.utf8.contains(0) else {
      throw StorageError(.unsupportedFeature, "a ZIP archive cannot hold an entry of this name")
    }
  }

  /// Ends an entry.
  ///
  /// - Precondition: all of its bytes were written, and this is their checksum.
  mutating func end(checksum: CRC32) throws(StorageError) {
    precondition(sink.position == end, "all of the entry")
    guard let (header, record) = open else { return }
    var bytes = ByteWriter()
    bytes.integer(checksum.value)
    try sink.overwrite(bytes.bytes, at: header + UInt64(Self.checksumOffset.local))
    directory.overwrite(bytes.bytes, at: record + Self.checksumOffset.central)
    open = nil
  }

  func write(_ bytes: TensorBytes) throws(StorageError) { try sink.write(bytes) }
  func write(_ bytes: [UInt8]) throws(StorageError) { try sink.write(bytes) }

  /// Writes the directory.
  mutating func finish() throws(StorageError) {
    precondition(sink.position == end && open == nil, "the last entry has ended")
    let offset = sink.position
    let byteCount = UInt64(directory.bytes.count)
    var tail = ByteWriter()
    let wide = needsZip64(offset) || needsZip64(byteCount) || count >= 0xFFFF
    if wide {
      tail.integer(ZipFormat.end64Signature)
      tail.integer(UInt64(ZipFormat.end64Bytes - 12))
      tail.integer(UInt16(45))
      tail.integer(UInt16(45))
      tail.zeros(8)
      for value in [count, count, byteCount, offset] { tail.integer(value) }
      tail.integer(ZipFormat.locator64Signature)
      tail.zeros(4)
      tail.integer(offset + byteCount)
      tail.integer(UInt32(1))
    }
    tail.integer(ZipFormat.endSignature)
    tail.zeros(4)
    let shortCount = wide ? 0xFFFF : UInt16(count)
    tail.integer(shortCount)
    tail.integer(shortCount)
    tail.integer(wide ? ZipFormat.inZip64 : UInt32(byteCount))
    tail.integer(wide ? ZipFormat.inZip64 : UInt32(offset))
    tail.zeros(2)
    try sink.write(directory.bytes)
    try sink.write(tail.bytes)
  }

  private func needsZip64(_ value: UInt64) -> Bool { alwaysZip64 || value >= UInt64(ZipFormat.inZip64) }

  /// What both headers have in the same order.
  private static func common(
    _ output: inout ByteWriter, version: UInt16, flags: UInt16, checksum: UInt32, size: UInt64?, nameCount: UInt16,
    extraCount: Int
  ) {
    output.integer(version)
    output.integer(flags)
    output.integer(ZipFormat.stored)
    output.integer(UInt16(0))
    output.integer(date)
    output.integer(checksum)
    let short = size.map { UInt32($0) } ?? ZipFormat.inZip64
    output.integer(short)
    output.integer(short)
    output.integer(nameCount)
    output.integer(UInt16(extraCount))
  }

  private static func zip64(_ output: inout ByteWriter, _ values: [UInt64]) {
    output.integer(ZipFormat.zip64Extra)
    output.integer(UInt16(8 * values.count))
    for value in values { output.integer(value) }
  }

  private static func pad(_ output: inout ByteWriter, by count: Int) {
    guard count > 0 else { return }
    let fieldHeader = 4
    let count = count < fieldHeader ? count + Int(alignment) : count
    output.integer(ZipFormat.paddingExtra)
    output.integer(UInt16(count - fieldHeader))
    output.zeros(count - fieldHeader)
  }
}
