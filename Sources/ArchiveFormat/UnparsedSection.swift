import TMPackByteIO
import TMPackZstandard

/// A section whose manifest nobody looked at: what it takes to copy it, or to know its frames, whatever it describes.
struct UnparsedSection {
  /// As TMP-5-1 has them.
  private(set) var raw: [UInt8]
  private(set) var frames: [FrameRecord]
  /// Where the frame records begin.
  let records: Int

  init(_ raw: [UInt8], archiveEnd: UInt64) throws(StorageError) {
    (records, frames) = try raw.withBytes { bytes throws(StorageError) in
      var reader = ByteReader(bytes)
      let (_, frameCount) = try Self.sizes(parsing: &reader)
      let records = bytes.count - frameCount * FrameRecord.byteCount
      _ = try reader.take(records - 8)
      var frames: [FrameRecord] = []
      frames.reserveCapacity(frameCount)
      for _ in 0..<frameCount { frames.append(try FrameRecord(parsing: &reader, archiveEnd: archiveEnd)) }
      return (records, frames)
    }
    self.raw = raw
  }

  /// Reads the sizes that a section begins with, of the manifest in bytes and of its frames by number (TMP-5-1).
  ///
  /// - Throws: `truncated`, or `malformed` where the sizes do not fit.
  static func sizes(parsing reader: inout ByteReader) throws(StorageError) -> (manifest: Int, frames: Int) {
    let manifestSize = Int(try reader.integer(UInt32.self))
    let frameCount = Int(try reader.integer(UInt32.self))
    try Limits.check(frameCount, atMost: Limits.frames, "the number of frames")  // TMP-9-5
    let text = (8 + manifestSize).roundedUp(toMultipleOf: 8) - 8
    var rest = reader
    _ = try rest.take(text)
    guard rest.remaining == frameCount * FrameRecord.byteCount else {
      throw StorageError(.malformed, "a section's size does not fit its \(frameCount) frames")
    }
    return (manifestSize, frameCount)
  }

  /// The same frames elsewhere.
  mutating func moveFrames(to places: [FrameRecord]) {
    precondition(places.count == frames.count)
    var writer = ByteWriter(capacity: places.count * FrameRecord.byteCount)
    for frame in places { frame.write(to: &writer) }
    raw.replaceSubrange(records..., with: writer.bytes)
    frames = places
  }

  /// No less than the sum of the payloads' sizes: all numbers that the manifest calls a size.
  var mostPayloadBytes: UInt64 {
    let name = Array("\"size\":".utf8)
    return raw.withUnsafeBufferPointer { raw in
      var sum: UInt64 = 0
      var place = 8
      while place + name.count < records {
        guard raw[place] == name[0], name.indices.allSatisfy({ raw[place + $0] == name[$0] }) else {
          place += 1
          continue
        }
        place += name.count
        var number: UInt64 = 0
        while place < records, case let digit = raw[place] &- UInt8(ascii: "0"), digit < 10, number < 1 << 53 {
          number = number * 10 + UInt64(digit)
          place += 1
        }
        sum &+= number
        if sum > 1 << 60 { return .max }
      }
      return sum
    }
  }
}

extension ArchiveFile {
  /// An expert's section as it is stored, checked by its digest alone.
  func unparsedExpertSection(_ position: Int) throws(StorageError) -> UnparsedSection {
    let expert = index.experts[position]
    return try located(file: path, expert: expert.name) { () throws(StorageError) in
      let raw = try Self.raw(
        expert.section.extent, rawSize: expert.section.rawSize, "the expert's section", of: file)
      return try UnparsedSection(raw, archiveEnd: slot.archiveEnd)
    }
  }
}
