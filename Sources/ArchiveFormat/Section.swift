import TMPackByteIO
import TMPackJSON

/// A section that has been read and checked: a manifest and the frames that its payloads refer to (TMP-5).
package struct Section<Manifest: Sendable>: Sendable {
  package let manifest: Manifest
  package let frames: [FrameRecord]

  /// Stored bytes of the frames, those that are named twice counted once.
  package var frameBytes: UInt64 {
    var counted = CountedExtents()
    return counted.add(frames.map(\.extent))
  }
}

extension Section where Manifest: SectionManifest {
  /// A section whose frames are numbered by first use, as TMP-5-9 wants them. Frames that no payload uses are left out.
  ///
  /// - Parameters:
  ///   - manifest: its payloads refer to `placed`.
  ///   - placed: all of those that are used are there.
  init(numbering manifest: Manifest, placed: [FrameRecord?]) {
    var numbers: [Int: Int] = [:]
    var records: [FrameRecord] = []
    var manifest = manifest
    manifest.mapPayloads { payload in
      guard payload.count > 0 else { return payload }
      if numbers[payload.first] == nil {
        for frame in payload.frames {
          numbers[frame] = records.count
          records.append(placed[frame]!)
        }
      }
      return PayloadReference(
        first: numbers[payload.first]!, count: payload.count, skip: payload.skip, size: payload.size)
    }
    self.init(manifest: manifest, frames: records)
  }
}

extension Section<ExpertManifest> {
  /// Stored bytes of the frames of corrections, each extent once; nil when there are no corrections (TMP-4-10).
  var correctionBytes: UInt64? {
    guard manifest.hasCorrections else { return nil }
    var counted = CountedExtents()
    let used = manifest.framesOfCorrections(count: frames.count)
    return counted.add(zip(frames, used).compactMap { frame, isUsed in isUsed ? frame.extent : nil })
  }
}

/// Where a section is (TMP-4-8).
package struct SectionReference: Sendable, Hashable {
  package let extent: Extent
  let rawSize: Int

  init(extent: Extent, rawSize: Int) {
    self.extent = extent
    self.rawSize = rawSize
  }

  init(json: JSONValue, archiveEnd: UInt64) throws(StorageError) {
    let object = try json.asObject("a section")
    try object.allowOnly(["digest", "offset", "raw", "stored"], in: "a section")
    let offset = try object.required("offset", of: "a section").asCount("a section's offset")
    let stored = try object.required("stored", of: "a section").asCount("a section's stored size")
    rawSize = try object.required("raw", of: "a section").asCount("a section's raw size")
    try Limits.check(rawSize, atMost: Limits.sectionBytes, "the raw size of a section")  // TMP-9-2
    try Limits.check(stored, atMost: Limits.sectionBytes, "the stored size of a section")
    extent = try Extent(
      offset: UInt64(offset), storedSize: stored,
      digest: try object.required("digest", of: "a section").asDigest("a section's digest"), archiveEnd: archiveEnd)
  }

  var json: JSONValue {
    [
      "digest": .string(extent.digest.hexadecimal), "offset": JSONValue(extent.offset), "raw": JSONValue(rawSize),
      "stored": JSONValue(extent.storedSize),
    ]
  }
}

extension Section where Manifest: SectionManifest {
  /// Reads the raw bytes of a section (TMP-5-1), which its manifest may keep.
  init(parsing raw: [UInt8], context: Manifest.Context, archiveEnd: UInt64) throws(StorageError) {
    var decodedBytes: UInt64 = 0
    try self.init(parsing: raw, context: context, archiveEnd: archiveEnd, &decodedBytes)
    try Self.checkExpansion(decodedBytes, archiveEnd: archiveEnd)
  }

  /// The same without a bound on what the payloads decode to.
  ///
  /// - Parameter decodedBytes: is set to that.
  init(
    parsing raw: [UInt8], context: Manifest.Context, archiveEnd: UInt64, _ decodedBytes: inout UInt64
  ) throws(StorageError) {
    let (text, frames) = try raw.withBytes { bytes throws(StorageError) in
      var reader = ByteReader(bytes)
      let (manifestSize, frameCount) = try UnparsedSection.sizes(parsing: &reader)
      let start = bytes.count - reader.remaining
      _ = try reader.take(manifestSize)
      try reader.zeros((8 + manifestSize).roundedUp(toMultipleOf: 8) - 8 - manifestSize)
      var frames: [FrameRecord] = []
      frames.reserveCapacity(frameCount)
      for _ in 0..<frameCount { frames.append(try FrameRecord(parsing: &reader, archiveEnd: archiveEnd)) }
      return (ManifestText(raw, start..<start + manifestSize), frames)
    }
    var ledger = PayloadLedger(frames)
    manifest = try Manifest(parsing: text, context: context, &ledger)
    try ledger.finish()
    self.frames = frames
    decodedBytes = ledger.decodedBytes
  }

  /// TMP-9-11
  static func checkExpansion(_ decodedBytes: UInt64, archiveEnd: UInt64) throws(StorageError) {
    try Limits.check(
      decodedBytes, atMost: Limits.bound(ofArchive: archiveEnd, Limits.expansionFloor, Limits.expansionFactor),
      "the size of a section's payloads together")
  }

  /// The raw bytes of a section, and where the frame records begin: digests, which spoil the codes of text.
  func encoded() throws(StorageError) -> (bytes: [UInt8], records: Int) {
    let text = try manifest.canonicalText()
    var writer = ByteWriter(capacity: 16 + text.count + frames.count * FrameRecord.byteCount)
    writer.integer(UInt32(text.count))
    writer.integer(UInt32(frames.count))
    writer.append(text)
    writer.zeros(writer.bytes.count.roundedUp(toMultipleOf: 8) - writer.bytes.count)
    let records = writer.bytes.count
    for frame in frames { frame.write(to: &writer) }
    try Limits.check(frames.count, atMost: Limits.frames, "the number of frames")
    try Limits.check(writer.bytes.count, atMost: Limits.sectionBytes, "the raw size of a section")
    return (writer.bytes, records)
  }
}

extension SectionManifest {
  /// - Throws: `limitExceeded` for one that could not be read again (TMP-9-19).
  fileprivate func canonicalText() throws(StorageError) -> ArraySlice<UInt8> {
    if let text { return text.bytes }
    guard case .object(let object) = json else { preconditionFailure("a manifest is an object") }
    try CanonicalText.check(object, Self.what, lists: Self.lists)
    return JSONValue.object(object).canonicalText[...]
  }
}
