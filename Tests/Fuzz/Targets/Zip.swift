import TMPackByteIO
import TMPackDigests

/// A ZIP archive whose sizes and checksums are right. With a size, its one entry is said to be deflated to that.
func zip(_ entries: [(name: String, bytes: [UInt8])], deflatedTo size: Int? = nil) -> [UInt8] {
  var (file, directory) = (ByteWriter(), ByteWriter())
  for (name, bytes) in entries {
    let offset = file.bytes.count
    let checksum = bytes.withUnsafeBytes(CRC32.of)
    func common(_ writer: inout ByteWriter) {
      for field: UInt16 in [20, 0, size == nil ? 0 : 8, 0, 0x21] { writer.integer(field) }
      for field in [checksum.value, UInt32(bytes.count), UInt32(size ?? bytes.count)] { writer.integer(field) }
      writer.integer(UInt16(name.utf8.count))
      writer.integer(UInt16(0))
    }
    file.append(Array("PK\u{3}\u{4}".utf8))
    common(&file)
    file.append(name.utf8)
    file.append(bytes)
    directory.append(Array("PK\u{1}\u{2}".utf8))
    directory.integer(UInt16(20))
    common(&directory)
    for field: UInt16 in [0, 0, 0] { directory.integer(field) }
    directory.integer(UInt32(0))
    directory.integer(UInt32(offset))
    directory.append(name.utf8)
  }
  let start = file.bytes.count
  file.append(directory.bytes)
  file.append(Array("PK\u{5}\u{6}".utf8))
  for field in [0, 0, UInt16(entries.count), UInt16(entries.count)] { file.integer(field) }
  file.integer(UInt32(directory.bytes.count))
  file.integer(UInt32(start))
  file.integer(UInt16(0))
  return file.bytes
}
