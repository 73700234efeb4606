import TMPackDigests
import TMPackJSON
import TestSupport

private func rewritten(_ old: String, _ new: String, _ text: [UInt8]) -> [UInt8] {
  let range = text.firstRange(of: Array(old.utf8))!
  return Array(text[..<range.lowerBound]) + Array(new.utf8) + Array(text[range.upperBound...])
}

/// A zstd frame whose parts are known: no content, in one raw block, then the checksum.
private func zstdFrame(descriptor: UInt8, window: UInt8? = nil, size: [UInt8], _ content: [UInt8]) -> [UInt8] {
  var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, descriptor]
  if let window { frame.append(window) }
  frame += size
  let block = content.count << 3 | 1
  frame += [UInt8(block & 0xFF), UInt8(block >> 8 & 0xFF), UInt8(block >> 16)] + content
  return frame
}

extension Attacks {
  private static func sharedPayload(_ edit: @escaping @Sendable (inout JSONValue) -> Void)
    -> @Sendable (
      inout HandArchive
    ) -> Void
  {
    { archive in
      var payload = archive.shared.manifest["tensors", .at(1), "payload"]!
      edit(&payload)
      archive.shared.manifest["tensors", .at(1), "payload"] = payload
    }
  }

  static let sections: [Attack] = [
    Attack("TMP-5-1", "a section of 7 bytes", .truncated) { $0.expert.editRaw = { Array($0[..<7]) } },
    Attack("TMP-5-1", "a manifest longer than the section", .truncated) {
      $0.expert.editRaw = { $0.flipping(0x80, at: 2) }
    },
    Attack("TMP-5-1", "a manifest of 4 GiB", .truncated) {
      $0.expert.editRaw = { $0.replacing(at: 0, with: [255, 255, 255, 255]) }
    },
    Attack("TMP-5-1", "a record too few", .malformed, "frames") { $0.expert.editRaw = { $0.dropLast(56) } },
    Attack("TMP-5-1", "a byte too many", .malformed, "frames") { $0.expert.editRaw = { $0 + [0] } },
    Attack("TMP-5-1", "a byte too few", .malformed, "frames") { $0.expert.editRaw = { $0.dropLast(1) } },
    Attack("TMP-5-1", "padding that is not zero", .malformed, "reserved") { archive in
      archive.expert.manifest["metadata"] = ["x": "1234"]
      while archive.expert.manifest.canonicalText.count % 8 == 0 {
        archive.expert.manifest["metadata"] = ["x": "12345"]
      }
      archive.expert.editRaw = { raw in raw.flipping(1, at: raw.count - 56 - 1) }
    },
    Attack("TMP-9-5", "4,194,305 records", .limitExceeded, "number of frames") {
      $0.expert.editRaw = { $0.replacing(at: 4, with: [1, 0, 0x40, 0]) }
    },
    Attack("TMP-9-5", "2³² − 1 records", .limitExceeded, "number of frames") {
      $0.expert.editRaw = { $0.replacing(at: 4, with: [255, 255, 255, 255]) }
    },
    Attack("TMP-4-2", "a manifest that is not canonical", .malformed, "canonical") {
      $0.expert.editText = { rewritten("\"kind\":", "\"kind\": ", $0) }
    },
    Attack("TMP-4-2", "an entry whose members are out of order", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"dtype\":\"F32\",\"name\":\"m\"", "\"name\":\"m\",\"dtype\":\"F32\"", $0) }
    },
    Attack("TMP-4-2", "an entry with a member twice", .malformed, "duplicate") {
      $0.shared.editText = { rewritten("\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"dtype\":\"F32\",", $0) }
    },
    Attack("TMP-4-2", "an entry whose member is written with an escape", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"dtype\":\"F32\"", "\"\\u0064type\":\"F32\"", $0) }
    },
    Attack("TMP-4-2", "a name that is written with an escape", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"name\":\"m\"", "\"name\":\"\\u006d\"", $0) }
    },
    Attack("TMP-4-2", "a payload whose members are out of order", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"count\":1,\"first\":0", "\"first\":0,\"count\":1", $0) }
    },
    Attack("TMP-4-2", "a size that is no integer", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"first\":0", "\"first\":0.0", $0) }
    },
    Attack("TMP-4-2", "white space in an entry", .malformed, "canonical") {
      $0.shared.editText = { rewritten("\"dtype\":\"F32\"", "\"dtype\": \"F32\"", $0) }
    },
    Attack("TMP-5-8", "a payload that is an array", .malformed, "payload", sharedPayload { $0 = [] }),
    Attack("TMP-6-3", "a shape that is a string", .malformed, "dimensions") {
      $0.shared.manifest["tensors", .at(1), "shape"] = "2"
    },
    Attack("TMP-6-16", "an entry that is a string", .malformed, "a tensor") {
      $0.shared.manifest["tensors", .at(1)] = "n"
    },
    Attack("TMP-6-16", "tensors that are an object", .malformed, "tensors") { $0.shared.manifest["tensors"] = [:] },
    Attack("TMP-5-8", "a written skip of 0", .malformed, "skip of 0") { archive in
      archive.shared.manifest["tensors", .at(0), "payload", "skip"] = 0
    },
    Attack("TMP-5-8", "a payload beyond its frame", .malformed, "fit", sharedPayload { $0["skip"] = 61 }),
    Attack("TMP-5-8", "a skip of a whole frame", .malformed, "fit", sharedPayload { $0["skip"] = 68 }),
    Attack("TMP-5-8", "a skip of 2⁵³ − 1", .malformed, "", sharedPayload { $0["skip"] = 9_007_199_254_740_991 }),
    Attack("TMP-5-8", "an empty payload with a frame", .malformed, "size") { archive in
      archive.shared.manifest["tensors", .at(1), "shape"] = [0]
      archive.shared.manifest["tensors", .at(1), "payload"] = ["count": 1, "first": 0, "size": 0]
    },
    Attack(
      "TMP-5-8", "bytes without a frame", .malformed, "size",
      sharedPayload { $0 = ["count": 0, "first": 0, "size": 8] }),
    Attack("TMP-5-8", "a frame that gives no byte", .malformed, "fit") { archive in
      archive.shared.frames = [.raw(HandArchive.matrix), .raw(HandArchive.integers), .raw([1, 2, 3])]
      archive.shared.manifest["tensors", .at(1), "payload"] = ["count": 2, "first": 1, "size": 8]
    },
    Attack("TMP-5-8", "a payload without a size", .malformed, "size", sharedPayload { $0["size"] = nil }),
    Attack("TMP-5-8", "an unknown member of a payload", .malformed, "\"x\"", sharedPayload { $0["x"] = 1 }),
    Attack("TMP-5-9", "a frame beyond the last", .malformed, "frames", sharedPayload { $0["first"] = 1 }),
    Attack("TMP-5-9", "more frames than there are", .malformed, "frames", sharedPayload { $0["count"] = 2 }),
    Attack("TMP-5-9", "2⁵³ − 1 frames", .malformed, "frames", sharedPayload { $0["count"] = 9_007_199_254_740_991 }),
    Attack("TMP-5-9", "a frame that nothing uses", .malformed, "nothing uses") {
      $0.shared.frames.append(.raw([1, 2, 3]))
    },
    Attack("TMP-5-9", "frames numbered against the order", .malformed, "out of order") { archive in
      archive.shared.frames = [.raw(HandArchive.integers), .raw(HandArchive.matrix)]
      archive.shared.manifest["tensors", .at(0), "payload"] = ["count": 1, "first": 1, "size": 60]
      archive.shared.manifest["tensors", .at(1), "payload"] = ["count": 1, "first": 0, "size": 8]
    },
    Attack("TMP-5-9", "old and new frames in one payload", .malformed, "out of order") { archive in
      archive.shared.frames = [
        .raw(HandArchive.matrix + HandArchive.integers.prefix(4)), .raw(Array(HandArchive.integers.suffix(4))),
      ]
      archive.shared.manifest["tensors", .at(1), "payload"] = ["count": 2, "first": 0, "skip": 60, "size": 8]
    },
    Attack("TMP-9-11", "an expansion bomb", .limitExceeded, "payloads together") { archive in
      let size = 4 << 20
      let zeros = [UInt8](repeating: 0, count: size)
      archive.shared.frames = [.zstd(zeros)]
      archive.shared.manifest["tensors"] = .array(
        (0..<80).map { number in
          HandArchive.sharedEntry(
            "b\(number + 10)", "U8", [size], [], ["count": 1, "first": 0, "size": JSONValue(size)])
        })
    },
  ]

  private static func frame(_ edit: @escaping @Sendable (inout HandFrame) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { edit(&$0.shared.frames[0]) }
  }

  /// The shared frame becomes a zstd frame of 68 equal bytes, to be spoilt.
  private static func zstd(_ edit: @escaping @Sendable (inout HandFrame) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { archive in
      let bytes = [UInt8](repeating: 9, count: 68)
      archive.shared.frames = [.zstd(bytes)]
      archive.shared.manifest["tensors", .at(0), "digest"] = .string(ContentDigest(of: Array(bytes[..<60])).hexadecimal)
      archive.shared.manifest["tensors", .at(1), "digest"] = .string(ContentDigest(of: Array(bytes[60...])).hexadecimal)
      archive.expert.manifest["tensors", .at(1), "source"] = .string(ContentDigest(of: Array(bytes[60...])).hexadecimal)
      edit(&archive.shared.frames[0])
    }
  }

  private static let one = [UInt8](repeating: 9, count: 68)

  static let frames: [Attack] = [
    Attack("TMP-5-2", "an unknown codec", .malformed, "codec 3", frame { $0.codec = 3 }),
    Attack("TMP-5-12", "a frame to be mapped without the feature", .malformed, "mappable", frame { $0.codec = 2 }),
    Attack("TMP-5-2", "an unknown filter", .malformed, "filter 2", frame { $0.filter = 2 }),
    Attack("TMP-5-2", "planes of 3 bytes", .malformed, "width 3", zstd { ($0.filter, $0.width) = (1, 3) }),
    Attack("TMP-5-2", "a width without a filter", .malformed, "width 4", zstd { $0.width = 4 }),
    Attack("TMP-5-2", "a reserved byte of a record", .malformed, "reserved", frame { $0.reserved[0] = 1 }),
    Attack("TMP-5-2", "a checksum of a frame that has none", .malformed, "checksum", frame { $0.reserved[4] = 1 }),
    Attack("TMP-5-3", "an empty frame", .malformed, "empty", frame { ($0.rawSize, $0.storedSize) = (0, 1) }),
    Attack("TMP-3-4", "a frame stored in no bytes", .malformed, "outside", frame { $0.storedSize = 0 }),
    Attack("TMP-3-4", "a frame in the header", .malformed, "outside", frame { $0.offset = 64 }),
    Attack("TMP-3-4", "a frame at 2⁶³", .malformed, "outside", frame { $0.offset = 1 << 63 }),
    Attack("TMP-3-4", "a frame behind the end", .malformed, "outside", frame { $0.offset = 1 << 20 }),
    Attack("TMP-5-3", "a raw frame of two sizes", .malformed, "two sizes", frame { $0.rawSize = 69 }),
    Attack("TMP-5-3", "a raw frame with a filter", .malformed, "filtered", frame { ($0.filter, $0.width) = (1, 4) }),
    Attack("TMP-5-3", "a raw frame at an odd place", .malformed, "unaligned") { archive in
      archive.expert.frames[0].alignment = 1
    },
    Attack("TMP-5-3", "a zstd frame that is not smaller", .malformed, "smaller") { archive in
      archive.shared.frames[0] = .zstd(HandArchive.integers)
      archive.shared.manifest["tensors"] = [
        HandArchive.sharedEntry("n", "I32", [2], HandArchive.integers, ["count": 1, "first": 0, "size": 8])
      ]
    },
    Attack(
      "TMP-9-6", "a frame of 4 MiB and a byte", .limitExceeded, "raw size of a frame",
      frame {
        $0.codec = 1
        $0.rawSize = 4 << 20 | 1
      }),
    Attack("TMP-5-7", "planes of 8 for 68 bytes", .malformed, "multiple", zstd { ($0.filter, $0.width) = (1, 8) }),
    Attack("TMP-5-5", "two zstd frames", .malformed, "exactly one frame", zstd { $0.stored += $0.stored }),
    Attack("TMP-5-5", "a byte behind", .malformed, "exactly one frame", zstd { $0.stored.append(0) }),
    Attack("TMP-5-5", "a byte too few", .malformed, "", zstd { $0.stored.removeLast() }),
    Attack(
      "TMP-5-5", "a skippable frame", .malformed, "not a frame",
      zstd {
        $0.stored = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
      }),
    Attack(
      "TMP-5-5", "a skippable frame behind", .malformed, "exactly one frame",
      zstd {
        $0.stored += [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
      }),
    Attack("TMP-5-5", "another content size", .malformed, "raw bytes instead of", zstd { $0.stored[5] = 67 }),
    Attack(
      "TMP-5-5", "no content size", .malformed, "declares no raw bytes",
      zstd {
        $0.stored = zstdFrame(descriptor: 0b100, window: 0, size: [], [9])
      }),
    Attack(
      "TMP-5-5", "no content checksum", .malformed, "no content checksum",
      zstd {
        $0.stored[4] &= ~0b100
        $0.stored.removeLast(4)
      }),
    Attack(
      "TMP-5-5", "a wrong content checksum", .digestMismatch, "hecksum", zstd { $0.stored[$0.stored.count - 1] ^= 1 }),
    Attack(
      "TMP-5-5", "a dictionary", .malformed, "dictionary",
      zstd {
        $0.stored[4] |= 1
        $0.stored.insert(7, at: 5)
        // Its number stands in front of the content size.
      }),
    Attack("TMP-5-5", "a reserved bit", .malformed, "reserved bit", zstd { $0.stored[4] |= 0b1000 }),
    Attack(
      "TMP-5-5", "a window above 8 MiB", .limitExceeded, "window",
      zstd {
        $0.stored = zstdFrame(descriptor: 0b1000_0100, window: 13 << 3 | 1, size: [68, 0, 0, 0], [9])
      }),
    Attack(
      "TMP-5-5", "a window of terabytes", .limitExceeded, "window",
      zstd {
        $0.stored = zstdFrame(descriptor: 0b1000_0100, window: 0xFF, size: [68, 0, 0, 0], [9])
      }),
    Attack("TMP-5-5", "an index in two frames", .malformed, "exactly one frame") {
      $0.editStoredIndex = { $0 + compressed([1]) }
    },
    Attack("TMP-5-5", "a section in two frames", .malformed, "exactly one frame") {
      $0.expert.editStored = { $0 + compressed([1]) }
    },
    Attack(
      "TMP-5-6", "a raw frame of another digest", .digestMismatch, "expected digest",
      frame {
        $0.digest = [UInt8](repeating: 1, count: 32)
      }),
    Attack(
      "TMP-5-6", "a zstd frame of another digest", .digestMismatch, "expected digest",
      zstd {
        $0.digest = [UInt8](repeating: 1, count: 32)
      }),
    Attack("TMP-5-6", "a section of another digest", .digestMismatch, "expected digest") {
      $0.editIndex = { $0["shared", "section", "digest"] = .string(ContentDigest(of: [1]).hexadecimal) }
    },
  ]
}
