import TMPackByteIO
import TMPackDigests
import TMPackFactors
import TMPackJSON
import TestSupport
import Testing

/// One thing that is wrong with an archive, although all digests are right, and what a reader must say to it.
struct Attack: CustomTestStringConvertible, Sendable {
  let rule: String
  let name: String
  let code: StorageError.Code
  /// A part of the message.
  let words: String
  let make: @Sendable () -> HandArchive

  init(
    _ rule: String, _ name: String, _ code: StorageError.Code = .malformed, _ words: String = "",
    of archive: @autoclosure @escaping @Sendable () -> HandArchive = HandArchive(),
    _ edit: @escaping @Sendable (inout HandArchive) -> Void
  ) {
    self.rule = rule
    self.name = name
    self.code = code
    self.words = words
    make = {
      var made = archive()
      edit(&made)
      return made
    }
  }

  var testDescription: String { "\(rule): \(name)" }
}

extension HandArchive {
  static var sparseFactor: HandArchive { HandArchive(sparse, sparsePayloads) }
  static var denseFactor: HandArchive { HandArchive(dense, densePayloads) }

  /// With other payload bytes for the lossy entry.
  static func lowRank(dtype: String = "I4", left: [UInt8] = [0x21, 0x07], scales: [UInt8]? = nil) -> HandArchive {
    var factor = lowRank
    factor["dtype"] = .string(dtype)
    var payloads = lowRankPayloads
    payloads[0].1 = left
    if dtype == "I8" { payloads[1].1 = [1, 2, 3, 4, 5] }
    if dtype == "F16" { payloads[1].1 = [UInt8](repeating: 0, count: 10) }
    if let scales { payloads[2].1 = scales }
    return HandArchive(factor, payloads)
  }

  static func quantized(_ payload: [UInt8]) -> HandArchive {
    HandArchive(["factor": "quantized"], [("payload", payload)])
  }

  static func dropped(payload: [UInt8]) -> HandArchive { HandArchive(["factor": "dropped"], [("payload", payload)]) }

  /// One component: a scale of ½, left 1 2 0, right 1 −1 2 3 0.
  static func quantizedLowRank(rank: Int = 1, _ payload: [UInt8] = [0x7E, 1, 0x21, 0x4A, 0xE2]) -> HandArchive {
    HandArchive(["factor": "quantized-low-rank", "rank": JSONValue(rank)], [("payload", payload)])
  }

  static func quantizedLayered(rank: Int = 1, _ payload: [UInt8]) -> HandArchive {
    HandArchive(["factor": "quantized-layered", "rank": JSONValue(rank)], [("payload", payload)])
  }

  /// A matrix of 3 × 5 with symbols of −2 to 2, of which the mask selects every third.
  static func masked(mask: [UInt8]? = nil, vector: [UInt8]? = nil) -> HandArchive {
    let whole = QuantizedDenseFactor(
      symbols: (0..<15).map { Int16($0 % 5) - 2 }, scale: 0.5, rows: 3, columns: 5)
    let factor = MaskedFactor(of: whole) { $0 % 3 == 0 }!
    return HandArchive(["factor": "masked"], [("mask", mask ?? factor.mask), ("vector", vector ?? factor.vector)])
  }

  /// A dropped tensor with a correction of nothing: its source is the shared tensor.
  static func corrected(size: Int = 60) -> HandArchive {
    var archive = HandArchive(["factor": "dropped"], [])
    archive.expert.manifest["tensors", .at(0), "source"] = .string(ContentDigest(of: matrix).hexadecimal)
    archive.expert.manifest["tensors", .at(0), "correction"] = ["count": 1, "first": 0, "size": JSONValue(size)]
    archive.expert.manifest["tensors", .at(1), "payload", "first"] = 1
    archive.expert.frames.insert(.raw([UInt8](repeating: 0, count: size)), at: 0)
    archive.editSummary = { $0["correction_bytes"] = JSONValue(size) }
    return archive
  }

  /// `corrected`, and another tensor that is dropped, without a correction.
  static var partlyCorrected: HandArchive {
    var archive = corrected()
    let bytes = lanes([Float(1).bitPattern])
    archive.shared.frames.append(.raw(bytes))
    archive.shared.manifest["tensors", .at(2)] = sharedEntry(
      "z", "F32", [1], bytes, ["count": 1, "first": 1, "size": 4])
    archive.expert.manifest["tensors", .at(2)] = [
      "error": "1", "factor": "dropped", "name": "z", "norm": "1",
      "source": .string(ContentDigest(of: bytes).hexadecimal),
    ]
    return archive
  }

  /// A detached shared model whose `m` has that shape, and five bytes that claim to be a factor of it.
  static func claiming(_ shape: [Int], _ factor: JSONObject, _ payloads: [String] = ["payload"]) -> HandArchive {
    var archive = HandArchive(factor, payloads.map { ($0, [0x7E, 1, 0x21, 0x4A, 0xE2]) })
    archive.detach()
    archive.shared.manifest["tensors", .at(0), "shape"] = .array(shape.map { JSONValue($0) })
    return archive
  }

  static var pooledCorrection: HandArchive {
    HandArchive(["factor": "dropped"], [("correction", [UInt8](repeating: 0, count: 60))])
  }

  static func sparse(positions: [UInt8]) -> HandArchive {
    var payloads = sparsePayloads
    payloads[0].1 = positions
    return HandArchive(sparse, payloads)
  }
}

private func nest(_ levels: Int) -> JSONValue {
  (1..<levels).reduce(JSONValue.array([])) { value, _ in .array([value]) }
}

/// By section of the specification.
enum Attacks {
  static let all =
    layout + slot + index + sections + frames + manifests + factors + extraRows + stacks + ownTensors + routers

  static let layout: [Attack] = [
    Attack("TMP-2-7", "two extents overlap", .malformed, "overlap") { archive in
      let bytes = archive.expert.frames[0].stored
      archive.shared.frames[0].alignment = 64
      // The expert's frame begins one alignment into a long shared one.
      let long = [UInt8](repeating: 7, count: 64) + bytes
      archive.shared.frames.append(.raw(long))
      archive.shared.manifest["tensors", .at(2)] = HandArchive.sharedEntry(
        "z", "U8", [long.count], long, ["count": 1, "first": 1, "size": JSONValue(long.count)])
      archive.expert.frames[0].offset = 8192 + 128 + 64
      archive.editSummary = { summary in
        summary["tensors"] = 3
        summary["parameters"] = JSONValue(17 + long.count)
      }
    },
    Attack("TMP-2-7", "one extent inside another, at its start", .malformed, "overlap") { archive in
      let long = archive.shared.frames[0].stored
      archive.expert.frames = [.raw(Array(long[..<17]))]
      archive.expert.frames[0].offset = 8192
    },
    Attack("TMP-2-7", "one extent with two digests", .malformed, "overlap") { archive in
      archive.shared.frames.append(archive.shared.frames[0])
      archive.shared.frames[1].digest = [UInt8](repeating: 1, count: 32)
      archive.shared.manifest["tensors", .at(1), "payload"] = ["count": 1, "first": 1, "skip": 60, "size": 8]
    },
    Attack("TMP-2-8", "bytes of nobody in front of a zstd frame", .malformed, "belong to nothing") { archive in
      let zeros = [UInt8](repeating: 0, count: 100)
      archive.shared.frames.append(.zstd(zeros))
      archive.shared.frames[1].alignment = 64
      archive.shared.manifest["tensors", .at(2)] = HandArchive.sharedEntry(
        "z", "U8", [100], zeros, ["count": 1, "first": 1, "size": 100])
      archive.editSummary = { summary in
        summary["tensors"] = 3
        summary["parameters"] = 117
      }
    },
    Attack("TMP-2-8", "bytes of nobody at the end", .malformed, "belong to nothing") { archive in
      archive.editSlot = { slot in
        let end = slot[24..<28].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) } + 5
        for byte in 0..<4 { slot[24 + byte] = UInt8(end >> (8 * byte) & 0xFF) }
      }
      archive.editFile = { $0 += [0, 0, 0, 0, 0] }
    },
    Attack("TMP-2-8", "padding that is not zero", .malformed, "padding byte") { archive in
      archive.shared.frames[0].alignment = 64
      archive.editFile = { file in
        // Between the shared section and the expert's raw frame.
        let end = file[8192...].indices.last { $0 % 64 == 63 && file[$0] == 0 }!
        file[end] = 1
      }
    },
  ]

  static let slot: [Attack] = [
    Attack("TMP-2-4", "generation 1 in slot 1", .malformed, "wrong header slot") { $0.slot = 1 },
    Attack("TMP-2-5", "an end beyond the file", .truncated, "ends at byte") { $0.editSlot = { $0[27] = 1 } },
    Attack("TMP-3-3", "a future major version", .unsupportedVersion, "version 2.0") { $0.editSlot = { $0[8] = 2 } },
    Attack("TMP-3-4", "generation 0", .malformed, "generation is 0") { $0.editSlot = { $0[16] = 0 } },
    Attack("TMP-3-4", "an index of no bytes", .malformed, "outside") {
      $0.editSlot = { $0.replaceSubrange(40..<48, with: repeatElement(0, count: 8)) }
    },
    Attack("TMP-3-4", "an index in the header", .malformed, "outside") {
      $0.editSlot = { $0.replaceSubrange(32..<36, with: [0, 0x10, 0, 0]) }
    },
    Attack("TMP-3-4", "an index at 2⁶³", .malformed, "outside") { $0.editSlot = { $0[39] = 0x80 } },
    Attack("TMP-3-4", "an end at 2⁶³", .truncated) { $0.editSlot = { $0[31] = 0x80 } },
    Attack("TMP-3-5", "a reserved byte", .malformed, "reserved") { $0.editSlot = { $0[12] = 1 } },
    Attack("TMP-3-5", "a reserved byte at 63", .malformed, "reserved") { $0.editSlot = { $0[63] = 1 } },
    Attack("TMP-3-5", "a reserved byte behind the digest", .malformed, "reserved") { $0.editFile = { $0[4095] = 1 } },
    Attack("TMP-9-1", "an index of 2⁶³ raw bytes", .limitExceeded, "raw size of the index") {
      $0.editSlot = { $0[55] = 0x80 }
    },
    Attack("TMP-9-1", "an index of 64 MiB and a byte", .limitExceeded, "raw size of the index") {
      $0.editSlot = { $0.replaceSubrange(48..<52, with: [1, 0, 0, 4]) }
    },
    Attack("TMP-9-1", "an index stored in 2⁶³ bytes", .limitExceeded, "stored size of the index") {
      $0.editSlot = { $0[47] = 0x80 }
    },
  ]

  private static func editing(_ edit: @escaping @Sendable (inout JSONValue) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { $0.editIndex = edit }
  }

  private static func rewriting(_ old: String, _ new: String) -> @Sendable (inout HandArchive) -> Void {
    { archive in
      archive.editIndexText = { text in
        let string = String(decoding: text, as: UTF8.self)
        let range = string.ranges(of: old).first!
        return Array(string.replacingCharacters(in: range, with: new).utf8)
      }
    }
  }

  private static func name(_ name: String) -> @Sendable (inout HandArchive) -> Void {
    editing { $0["experts", .at(0), "name"] = .string(name) }
  }

  static let index: [Attack] =
    [
      Attack("TMP-4-1", "an index of another root digest", .digestMismatch, "expected digest") {
        $0.editSlot = { $0[64] ^= 1 }
      },
      Attack("TMP-4-2", "a space", .malformed, "canonical", rewriting("{\"experts\":", "{\"experts\": ")),
      Attack("TMP-4-2", "a space behind", .malformed, "canonical") { $0.editIndexText = { $0 + [0x20] } },
      Attack("TMP-4-2", "text behind", .malformed, "after") { $0.editIndexText = { $0 + [0x5D] } },
      Attack(
        "TMP-4-2", "members unsorted", .malformed, "canonical",
        rewriting(
          "{\"optional\":[],\"required\":[]}", "{\"required\":[],\"optional\":[]}")),
      Attack(
        "TMP-4-2", "a member twice", .malformed, "duplicate",
        rewriting(
          "\"optional\":[],", "\"optional\":[],\"optional\":[],")),
      Attack(
        "TMP-4-2", "a number with a fraction", .malformed, "integer", rewriting("\"tensors\":2", "\"tensors\":2.0")),
      Attack(
        "TMP-4-2", "a number with an exponent", .malformed, "integer", rewriting("\"tensors\":2", "\"tensors\":2e0")),
      Attack("TMP-4-2", "a negative number", .malformed, "negative", rewriting("\"tensors\":2", "\"tensors\":-2")),
      Attack("TMP-4-2", "minus zero", .malformed, "integer", rewriting("\"tensors\":2", "\"tensors\":-0")),
      Attack("TMP-4-2", "2⁵³", .malformed, "2⁵³", rewriting("\"tensors\":2", "\"tensors\":9007199254740992")),
      Attack("TMP-4-2", "2⁶³", .malformed, "", rewriting("\"tensors\":2", "\"tensors\":9223372036854775808")),
      Attack(
        "TMP-4-2", "an escape too many", .malformed, "canonical", rewriting("\"name\":\"a\"", "\"name\":\"\\u0061\"")),
      Attack("TMP-4-2", "invalid UTF-8", .malformed, "UTF-8") {
        $0.editIndexText = { text in
          var text = text
          text[text.firstRange(of: Array("given".utf8))!.lowerBound] = 0xFF
          return text
        }
      },
      Attack(
        "TMP-9-19", "too many values", .limitExceeded, "values",
        editing {
          $0["extensions"] = ["x": .array([JSONValue](repeating: 0, count: HandArchive.mostExtensionValues + 1))]
        }),
      Attack(
        "sound", "as many values as there may be", .malformed, "",
        editing {
          $0["extensions"] = ["x": .array([JSONValue](repeating: 0, count: HandArchive.mostExtensionValues))]
        }),
      Attack("TMP-4-2", "nothing", .malformed) { $0.editIndexText = { _ in Array("null".utf8) } },
      Attack("TMP-4-4", "no experts", .malformed, "experts", editing { $0["experts"] = nil }),
      Attack("TMP-4-4", "no features", .malformed, "features", editing { $0["features"] = nil }),
      Attack("TMP-4-4", "no optional features", .malformed, "optional", editing { $0["features", "optional"] = nil }),
      Attack(
        "TMP-4-4", "features unsorted", .malformed, "sorted", editing { $0["features", "optional"] = ["b", "a"] }),
      Attack("TMP-4-4", "a feature twice", .malformed, "sorted", editing { $0["features", "optional"] = ["b", "b"] }),
      Attack("TMP-4-4", "no shared storage", .malformed, "storage", editing { $0["shared", "storage"] = nil }),
      Attack(
        "TMP-4-5", "an unknown required feature", .unsupportedFeature, "\"holograms\"",
        editing {
          $0["features", "required"] = ["holograms"]
          // Whatever else is new must not be reported instead.
          $0["novelty"] = []
          $0["experts"] = 7
        }),
      Attack("TMP-4-6", "an unknown member", .malformed, "\"novelty\"", editing { $0["novelty"] = [] }),
      Attack(
        "TMP-4-6", "an unknown member of an expert", .malformed, "\"x\"", editing { $0["experts", .at(0), "x"] = 1 }),
      Attack("TMP-4-6", "an unknown member of features", .malformed, "\"x\"", editing { $0["features", "x"] = [] }),
      Attack(
        "TMP-4-6", "an unknown member of a section", .malformed, "\"x\"",
        editing {
          $0["shared", "section", "x"] = []
        }),
      Attack(
        "TMP-4-6", "an unknown member of a summary", .malformed, "\"x\"",
        editing {
          $0["experts", .at(0), "summary", "x"] = []
        }),
      Attack("TMP-4-6", "extensions that are a list", .malformed, "extensions", editing { $0["extensions"] = [] }),
      Attack(
        "TMP-4-7", "two experts of one name", .malformed, "two experts",
        editing {
          $0["experts", .at(1)] = $0["experts", .at(0)]
        }),
      Attack(
        "TMP-4-8", "a digest in capitals", .malformed, "hexadecimal",
        editing {
          $0["shared", "section", "digest"] = .string(String(repeating: "AB", count: 32))
        }),
      Attack(
        "TMP-4-8", "a section of 2⁵³ − 1 bytes", .limitExceeded, "stored size of a section",
        editing {
          $0["shared", "section", "stored"] = 9_007_199_254_740_991
        }),
      Attack(
        "TMP-3-4", "a section in the header", .malformed, "outside", editing { $0["shared", "section", "offset"] = 0 }),
      Attack(
        "TMP-3-4", "a section of no bytes", .malformed, "outside", editing { $0["shared", "section", "stored"] = 0 }),
      Attack(
        "TMP-4-9", "a method that is no name", .malformed, "method", editing { $0["shared", "method"] = "Magic!" }),
      Attack("TMP-4-9", "an unknown storage", .malformed, "storage", editing { $0["shared", "storage"] = "cloud" }),
      Attack(
        "TMP-4-9", "a parameter that is a number", .malformed, "parameters",
        editing {
          $0["shared", "parameters"] = ["lambda": 1]
        }),
      Attack(
        "TMP-9-2", "a section of 256 MiB and a byte", .limitExceeded, "raw size of a section",
        editing {
          $0["shared", "section", "raw"] = 268_435_457
        }),
      Attack(
        "TMP-9-18", "three experts with a section of 30 MiB", .limitExceeded, "all sections together",
        editing { index in
          index["experts", .at(0), "section", "raw"] = 31_457_280
          let expert = index["experts", .at(0)]!
          for (position, name) in ["a", "b", "c"].enumerated() {
            index["experts", .at(position)] = expert
            index["experts", .at(position), "name"] = .string(name)
          }
        }),
      Attack(
        "TMP-9-3", "65,537 experts", .limitExceeded, "number of experts",
        editing {
          $0["experts"] = .array(Array(repeating: 0, count: 65_537))
        }),
      Attack(
        "TMP-9-7", "a feature's name of 1025 bytes", .limitExceeded, "name",
        editing {
          $0["features", "optional"] = [.string(String(repeating: "x", count: 1025))]
        }),
      Attack(
        "TMP-9-7", "an expert's name of 1025 bytes", .limitExceeded, "name", name(String(repeating: "x", count: 1025))),
      Attack("TMP-9-9", "17 levels", .limitExceeded, "nested", editing { $0["extensions"] = ["x": nest(15)] }),
      Attack("TMP-9-9", "100,000 levels", .limitExceeded, "nested") {
        $0.editIndexText = { _ in [UInt8](repeating: UInt8(ascii: "["), count: 100_000) }
      },
    ]
    + ["", ".", "..", "a=b", "a,b", "a#b", "a/b", "a\\b", "a\u{0}", "a\u{1F}", "a\u{7F}", "a\u{85}"].map { bad in
      Attack("TMP-4-7", "the name \(bad.debugDescription)", .malformed, "expert name", name(bad))
    }
    + [
      ("bytes", 1), ("factors", ["low-rank": 1]), ("factors", ["low-rank": 1, "difference": 1, "dense": 0]),
      ("parameters", 18), ("tensors", 3), ("error", "0.12500013"), ("worst_error", "0.12499987"), ("worst_tensor", "n"),
    ].map { (member: String, value: JSONValue) in
      Attack("TMP-4-10", "a summary with \(member) \(value.compactText)", .malformed, "summary") {
        $0.editSummary = { $0[.member(member)] = value }
      }
    }
    + [
      Attack("TMP-4-10", "a summary without its errors", .malformed, "summary") {
        $0.editSummary = {
          $0["error"] = nil
          $0["worst_error"] = nil
          $0["worst_tensor"] = nil
        }
      },
      Attack("TMP-4-10", "a summary with one error of two", .malformed, "summary") {
        $0.editSummary = { $0["error"] = nil }
      },
    ]
    + [
      "", "1.", ".5", "+1", "-1", "1e", "e5", "1e400", "inf", "nan", "0x1", "1 ", "1_0", "١", "1E5", "1.5.2",
      "0.000000000000000000000000000000001",
    ].map { bad in
      Attack("TMP-4-3", "the measure \"\(bad)\"", .malformed, "decimal") {
        $0.expert.manifest["tensors", .at(0), "norm"] = .string(bad)
      }
    }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<Index>, with new: String) -> String {
    self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
