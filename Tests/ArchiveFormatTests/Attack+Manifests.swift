import TMPackDigests
import TMPackJSON
import TestSupport

extension Attacks {
  private static func shared(_ edit: @escaping @Sendable (inout JSONValue) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { edit(&$0.shared.manifest) }
  }

  private static func expert(_ edit: @escaping @Sendable (inout JSONValue) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { edit(&$0.expert.manifest) }
  }

  /// Takes the shared model out and gives its first tensor this checksum.
  private static func detached(checksum: JSONValue) -> @Sendable (inout HandArchive) -> Void {
    { archive in
      archive.detach()
      archive.shared.manifest["tensors", .at(0), "checksum"] = checksum
    }
  }

  /// Edits the lossy entry.
  private static func entry(_ edit: @escaping @Sendable (inout JSONValue) -> Void)
    -> @Sendable (inout HandArchive) ->
    Void
  {
    { archive in
      var entry = archive.expert.manifest["tensors", .at(0)]!
      edit(&entry)
      archive.expert.manifest["tensors", .at(0)] = entry
    }
  }

  private static func file(_ name: String, bytes: Int = 0) -> JSONValue {
    var payload: JSONValue = ["count": 0, "first": 0, "size": 0]
    if bytes > 0 { payload = ["count": 1, "first": 0, "size": JSONValue(bytes)] }
    return ["digest": .string(ContentDigest(of: []).hexadecimal), "name": .string(name), "payload": payload]
  }

  private static func files(_ names: String...) -> @Sendable (inout HandArchive) -> Void {
    shared { $0["files"] = .array(names.map { file($0) }) }
  }

  static let manifests: [Attack] =
    ["files", "kind", "metadata", "provenance", "tensors", "absent"].map { member in
      Attack("TMP-6-16", "an expert without \(member)", .malformed, member, expert { $0[.member(member)] = nil })
    }
    + [
      Attack("TMP-6-16", "the shared kind in an expert", .malformed, "another kind", expert { $0["kind"] = "shared" }),
      Attack(
        "TMP-6-16", "the expert kind in the shared model", .malformed, "another kind", shared { $0["kind"] = "expert" }),
      Attack("TMP-6-16", "absent tensors in the shared model", .malformed, "\"absent\"", shared { $0["absent"] = [] }),
      Attack("TMP-4-6", "an unknown member of a manifest", .malformed, "\"x\"", expert { $0["x"] = [] }),
      Attack("TMP-4-6", "an unknown member of an entry", .malformed, "\"x\"", entry { $0["x"] = [] }),
      Attack(
        "TMP-4-6", "an unknown member of a shared entry", .malformed, "\"x\"",
        shared {
          $0["tensors", .at(0), "x"] = []
        }),
      Attack(
        "TMP-4-6", "an unknown member of a file", .malformed, "\"x\"",
        shared {
          $0["files"] = [Attacks.file("a")]
          $0["files", .at(0), "x"] = 1
        }),
      Attack("TMP-4-6", "an unknown member of provenance", .malformed, "\"x\"", expert { $0["provenance", "x"] = [] }),
      Attack(
        "TMP-4-6", "an unknown member of a source", .malformed, "\"x\"",
        expert {
          $0["provenance", "sources"] = [
            ["digest": .string(ContentDigest(of: []).hexadecimal), "name": "", "size": 0, "x": 0]
          ]
        }),
      Attack("TMP-6-16", "metadata that is a number", .malformed, "metadata", expert { $0["metadata"] = ["x": 1] }),
      Attack("TMP-6-16", "a tool that is an object", .malformed, "tool", expert { $0["provenance", "tool"] = [:] }),
      Attack(
        "TMP-6-1", "shared tensors unsorted", .malformed, "sorted", shared { $0["tensors", .at(1), "name"] = "a" }),
      Attack("TMP-6-1", "a shared tensor twice", .malformed, "sorted", shared { $0["tensors", .at(1), "name"] = "m" }),
      Attack(
        "TMP-6-1", "an expert's tensor twice", .malformed, "sorted",
        { archive in
          let exact = archive.expert.manifest["tensors", .at(1)]!
          archive.expert.manifest["tensors", .at(2)] = exact
        }),
      Attack(
        "TMP-6-1", "names sorted by UTF-16", .malformed, "sorted",
        shared {
          // U+FF5E and U+1F600: by UTF-16 units the latter comes first, by bytes the former.
          $0["tensors", .at(0), "name"] = "😀"
          $0["tensors", .at(1), "name"] = "～"
        }),
      Attack(
        "TMP-9-7", "a tensor's name of 1025 bytes", .limitExceeded, "name",
        shared {
          $0["tensors", .at(1), "name"] = .string(String(repeating: "z", count: 1025))
        }),
      Attack("TMP-6-1", "files unsorted", .malformed, "sorted", files("b", "a")),
      Attack("TMP-6-1", "a file twice", .malformed, "sorted", files("a", "a")),
      Attack("TMP-6-2", "a file that is a folder", .malformed, "folder", files("a", "a/b")),
      Attack("TMP-6-2", "a file that is a folder, with one between", .malformed, "folder", files("a", "a.b", "a/b")),
      Attack("TMP-6-2", "a file that is a folder of a folder", .malformed, "folder", files("a", "a/b/c")),
      Attack("TMP-6-2", "nine components", .limitExceeded, "parts", files("1/2/3/4/5/6/7/8/9")),
      Attack(
        "TMP-9-7", "a file's name of 1025 bytes", .limitExceeded, "name", files(String(repeating: "x", count: 1025))),
      Attack(
        "TMP-9-10", "4097 files", .limitExceeded, "number of files",
        shared {
          $0["files"] = .array((0..<4097).map { Attacks.file("\(10_000 + $0)") })
        }),
      Attack(
        "TMP-9-10", "a file of 64 MiB and a byte", .limitExceeded, "size of file",
        shared {
          $0["files"] = [Attacks.file("a", bytes: 64 << 20 | 1)]
        }),
      Attack(
        "TMP-6-3", "a shared tensor without its digest", .malformed, "digest",
        shared {
          $0["tensors", .at(0), "digest"] = nil
        }),
      Attack(
        "TMP-6-3", "a shared tensor without its bytes", .malformed, "payload",
        shared {
          $0["tensors", .at(0), "payload"] = nil
        }),
      Attack(
        "TMP-6-3", "a shared tensor of another size", .malformed, "bytes",
        shared {
          $0["tensors", .at(1), "shape"] = [3]
        }),
      Attack("TMP-6-4", "a detached tensor with bytes", .malformed, "detached") {
        $0.editIndex = { $0["shared", "storage"] = "detached" }
      },
      Attack(
        "TMP-6-3", "an embedded tensor with a checksum", .malformed, "checksum",
        shared {
          $0["tensors", .at(0), "checksum"] = "00000000"
        }),
      Attack("TMP-6-24", "a checksum of too few digits", .malformed, "checksum", detached(checksum: "1234567")),
      Attack("TMP-6-24", "a checksum in capitals", .malformed, "checksum", detached(checksum: "0123ABCD")),
      Attack("TMP-6-24", "a checksum with a sign", .malformed, "checksum", detached(checksum: "+1234567")),
      Attack("TMP-6-24", "a checksum that is a number", .malformed, "checksum", detached(checksum: 7)),
      Attack(
        "TMP-6-5", "an absent tensor that the shared model lacks", .malformed, "absent", expert { $0["absent"] = ["x"] }
      ),
      Attack("TMP-6-5", "an absent tensor with an entry", .malformed, "absent", expert { $0["absent"] = ["m"] }),
      Attack(
        "TMP-6-5", "absent tensors unsorted", .malformed, "sorted",
        expert {
          $0["absent"] = ["n", "m"]
          $0["tensors"] = []
        }),
      Attack("TMP-6-6", "an unknown factor", .malformed, "unknown factor", entry { $0["factor"] = "wavelet" }),
      Attack("TMP-6-6", "an entry without a source", .malformed, "source", entry { $0["source"] = nil }),
      Attack("TMP-6-6", "a lossy entry without an error", .malformed, "error", entry { $0["error"] = nil }),
      Attack(
        "TMP-6-6", "an exact entry with an error", .malformed, "error",
        expert {
          $0["tensors", .at(1), "error"] = "0"
        }),
      Attack("TMP-6-6", "a norm of 0", .malformed, "norm is 0", entry { $0["norm"] = "0" }),
      Attack("TMP-6-6", "a norm that underflows to 0", .malformed, "norm is 0", entry { $0["norm"] = "1e-400" }),
      Attack(
        "TMP-6-7", "a difference to nothing", .malformed, "does not exist",
        expert {
          $0["tensors", .at(1), "name"] = "z"
        }),
      Attack("TMP-6-7", "a low-rank factor of nothing", .malformed, "does not exist", entry { $0["name"] = "a" }),
      Attack(
        "TMP-6-7", "a low-rank factor of integers", .malformed, "dtype I32",
        { archive in
          archive.shared.manifest["tensors", .at(0), "dtype"] = "I32"
        }),
      Attack("TMP-6-7", "a dense factor of F8", .malformed, "dtype F8_E4M3", of: .denseFactor) {
        $0.shared.manifest["tensors", .at(0), "dtype"] = "F8_E4M3"
        $0.shared.manifest["tensors", .at(0), "shape"] = [3, 20]
      },
      Attack(
        "TMP-9-4", "1,048,577 entries", .limitExceeded, "number of tensors",
        expert {
          $0["tensors"] = .array(Array(repeating: 0, count: 1 << 20 | 1))
        }),
      Attack(
        "TMP-9-4", "1,048,577 absent names", .limitExceeded, "number of absent",
        expert {
          $0["absent"] = .array(Array(repeating: 0, count: 1 << 20 | 1))
        }),
      Attack(
        "TMP-9-19", "metadata without end", .limitExceeded, "values",
        shared {
          $0["metadata"] = .object(JSONObject((0..<1 << 19).map { ("\($0)", "") }))
        }),
      Attack(
        "TMP-9-8", "17 dimensions", .limitExceeded, "dimensions",
        shared {
          $0["tensors", .at(1), "shape"] = .array([2] + Array(repeating: 1, count: 16))
        }),
      Attack(
        "TMP-9-9", "a manifest of 17 levels", .limitExceeded, "nested",
        expert {
          $0["metadata"] = ["x": (0..<15).reduce(JSONValue.array([])) { value, _ in .array([value]) }]
        }),
      Attack(
        "TMP-9-12", "2⁶³ elements", .malformed, "number of elements",
        shared {
          $0["tensors", .at(1), "shape"] = [9_007_199_254_740_991, 9_007_199_254_740_991]
        }),
      Attack(
        "TMP-9-12", "2⁶³ elements, and none", .malformed, "number of elements",
        shared {
          $0["tensors", .at(1), "shape"] = [0, 4_294_967_296, 4_294_967_296]
          $0["tensors", .at(1), "payload"] = ["count": 0, "first": 0, "size": 0]
        }),
      Attack(
        "TMP-9-12", "2⁵³ bytes", .limitExceeded, "size of a tensor",
        shared {
          $0["tensors", .at(1), "shape"] = [2, 1_125_899_906_842_624]
        }),
      Attack(
        "TMP-1-6", "half a byte", .malformed, "whole bytes",
        shared {
          $0["tensors", .at(1), "dtype"] = "F4"
          $0["tensors", .at(1), "shape"] = [1]
        }),
      Attack("TMP-1-6", "an unknown dtype", .malformed, "dtype F5", shared { $0["tensors", .at(1), "dtype"] = "F5" }),
    ]
    + ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\nb", "a\u{7F}", "a\u{9F}"].map { bad in
      Attack("TMP-6-2", "the file name \(bad.debugDescription)", .malformed, "file name", files(bad))
    }
    + ["C:/a", "con", "~", "-", "ä", "a b", "...", "1/2/3/4/5/6/7/8"].map { good in
      // An empty file has the digest of nothing: the archive stays sound, which the soundness test below relies on.
      Attack("sound", "the file name \(good.debugDescription)", .malformed, "", files(good))
    }

  private static func rank(_ rank: Int) -> @Sendable (inout HandArchive) -> Void {
    entry { $0["rank"] = JSONValue(rank) }
  }

  static let factors: [Attack] = [
    Attack("TMP-6-8", "an unknown factor dtype", .malformed, "factor dtype", entry { $0["dtype"] = "F64" }),
    Attack("TMP-6-8", "I8 of −128", .malformed, "", of: .lowRank(dtype: "I8", left: [1, 0x80, 3])) { _ in },
    Attack("TMP-6-8", "I4 of −8", .malformed, "", of: .lowRank(left: [0x28, 0x07])) { _ in },
    Attack("TMP-6-8", "I4 of −8 in the high half", .malformed, "", of: .lowRank(left: [0x81, 0x07])) { _ in },
    Attack("TMP-6-8", "F16 infinity", .malformed, "", of: .lowRank(dtype: "F16", left: [0, 0x7C, 0, 0, 0, 0])) { _ in },
    Attack("TMP-6-8", "F16 NaN", .malformed, "", of: .lowRank(dtype: "F16", left: [1, 0x7E, 0, 0, 0, 0])) { _ in },
    Attack("TMP-6-9", "an unused half byte", .malformed, "", of: .lowRank(left: [0x21, 0x17])) { _ in },
    Attack("TMP-6-10", "a NaN as a scale", .malformed, "", of: .lowRank(scales: [0, 0, 0xC0, 0x7F])) { _ in },
    Attack("TMP-6-10", "an infinite scale", .malformed, "", of: .lowRank(scales: [0, 0, 0x80, 0xFF])) { _ in },
    Attack(
      "TMP-6-10", "two scales for one component", .malformed, "scales", of: .lowRank(scales: [0, 0, 0, 0, 0, 0, 0, 0])
    ) {
      _ in
    },
    Attack("TMP-6-10", "an infinite scale of a sparse factor", .malformed, "", of: .sparseFactor) {
      $0.expert.frames[0] = .raw($0.expert.frames[0].stored.replacing(at: 4, with: [0x80, 0x7F]))
    },
    Attack("TMP-6-11", "rank 0", .malformed, "rank 0", rank(0)),
    Attack("TMP-6-11", "rank 4 of 3 × 5", .malformed, "rank 4", rank(4)),
    Attack("TMP-6-11", "rank 2⁵³ − 1", .malformed, "rank", rank(9_007_199_254_740_991)),
    Attack("TMP-6-11", "rank 2 with the payloads of rank 1", .malformed, "left", rank(2)),
    Attack("TMP-6-11", "a low-rank vector", .malformed, "rank", shared { $0["tensors", .at(0), "shape"] = [15] }),
    Attack(
      "TMP-6-12", "a dense factor of 14 elements of 15", .malformed, "values",
      of: {
        var payloads = HandArchive.densePayloads
        payloads[1].1.removeLast(2)
        return HandArchive(HandArchive.dense, payloads)
      }()
    ) { _ in },
    Attack("TMP-6-13", "no stored element", .malformed, "sparse", of: .sparseFactor, entry { $0["count"] = 0 }),
    Attack(
      "TMP-6-13", "more elements than there are", .malformed, "sparse", of: .sparseFactor, entry { $0["count"] = 16 }),
    Attack(
      "TMP-6-13", "2⁵³ − 1 elements", .malformed, "sparse", of: .sparseFactor,
      entry {
        $0["count"] = 9_007_199_254_740_991
      }),
    Attack("TMP-6-13", "a place beyond the end", .malformed, "outside", of: .sparse(positions: [3, 11])) { _ in },
    Attack("TMP-6-13", "a first place beyond the end", .malformed, "outside", of: .sparse(positions: [15, 0])) { _ in },
    Attack(
      "TMP-6-13", "a gap of 2⁶³", .malformed, "",
      of: .sparse(positions: [
        3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1,
      ])
    ) { _ in },
    Attack(
      "TMP-6-13", "a gap of eleven bytes", .malformed, "",
      of: .sparse(positions: [
        3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
      ])
    ) { _ in },
    Attack("TMP-6-13", "a gap in a longer form", .malformed, "longer", of: .sparse(positions: [3, 0x8A, 0])) { _ in },
    Attack("TMP-6-13", "a gap that does not end", .malformed, "early", of: .sparse(positions: [3, 0x8A])) { _ in },
    Attack("TMP-6-13", "a place too many", .malformed, "follow", of: .sparse(positions: [3, 1, 1])) { _ in },
    Attack(
      "TMP-6-14", "a difference of another size", .malformed, "bytes",
      { archive in
        archive.expert.manifest["tensors", .at(1), "payload", "size"] = 7
        archive.expert.frames[0] = .raw(archive.expert.frames[0].stored.dropLast())
      }),
    Attack(
      "TMP-6-15", "a replaced tensor of another size", .malformed, "bytes",
      expert {
        $0["tensors", .at(1), "factor"] = "replaced"
        $0["tensors", .at(1), "dtype"] = "U8"
        $0["tensors", .at(1), "shape"] = [9]
      }),
    Attack(
      "TMP-6-15", "a replaced tensor without a shape", .malformed, "shape",
      expert {
        $0["tensors", .at(1), "factor"] = "replaced"
        $0["tensors", .at(1), "dtype"] = "U8"
      }),
    Attack("sound", "a correction", of: .corrected()) { _ in },
    Attack("TMP-6-17", "a correction of 59 bytes", .malformed, "correction has 59", of: .corrected(size: 59)) { _ in },
    Attack("TMP-6-17", "a correction of a difference", .malformed, "\"correction\"") {
      $0.expert.manifest["tensors", .at(1), "correction"] = $0.expert.manifest["tensors", .at(1), "payload"]
    },
    Attack("TMP-6-18", "a correction in a frame of factors", .malformed, "and something else", of: .pooledCorrection) {
      _ in
    },
    Attack("TMP-6-18", "only some entries corrected", .malformed, "others have", of: .partlyCorrected) { _ in },
    Attack("sound", "a dropped tensor", of: HandArchive(["factor": "dropped"], [])) { _ in },
    Attack("TMP-6-19", "a dropped tensor with a payload", .malformed, "\"payload\"", of: .dropped(payload: [1])) { _ in
    },
    Attack("sound", "a quantised tensor", of: .quantized([0x7E])) { _ in },
    Attack(
      "TMP-6-21", "a quantised tensor without a byte", .malformed, "quantised", of: .quantized([0x7E]),
      entry { $0["payload"] = ["count": 0, "first": 0, "size": 0] }),
    Attack("TMP-6-21", "a scale of 0", .malformed, "scale", of: .quantized([0, 0, 0, 1, 0x12, 0xD4, 0x41])) { _ in },
    Attack("TMP-10-3", "a byte after the message", .malformed, "encoder", of: .quantized([0x7E, 0])) { _ in },
    Attack(
      "TMP-9-11", "2³² symbols in five bytes", .limitExceeded, "payloads together",
      of: .claiming([1 << 20, 1 << 12], ["factor": "quantized"])
    ) { _ in },
    Attack(
      "TMP-9-11", "2³¹ symbols of low rank in five bytes", .limitExceeded, "payloads together",
      of: .claiming([1 << 20, 1 << 20], ["factor": "quantized-low-rank", "rank": 1024])
    ) { _ in },
    Attack(
      "TMP-9-11", "2⁵¹ symbols of low rank in five bytes", .limitExceeded, "",
      of: .claiming([1 << 25, 1 << 25], ["factor": "quantized-low-rank", "rank": JSONValue(1 << 25)])
    ) { _ in },
    Attack("sound", "a quantised matrix of low rank", of: .quantizedLowRank()) { _ in },
    Attack(
      "TMP-6-20", "a quantizer that goes without saying", .malformed, "\"uniform\"", of: .quantizedLowRank(),
      entry { $0["quantizer"] = "uniform" }),
    Attack("TMP-6-20", "rank 0", .malformed, "rank 0", of: .quantizedLowRank(rank: 0)) { _ in },
    Attack("TMP-6-20", "rank 4 of 3 × 5", .malformed, "rank 4", of: .quantizedLowRank(rank: 4)) { _ in },
    Attack(
      "TMP-6-20", "a scale that is not normal", .malformed, "scale",
      of: .quantizedLowRank(rank: 2, [0x7E, 1, 0x21, 0x4A, 0xE2, 1, 0x53, 0x12, 0x50, 4, 0xC6, 0xF2, 0xD4, 0xF9])
    ) { _ in },
    Attack("TMP-6-22", "layers of rank 4 of 3 × 5", .malformed, "rank 4", of: .quantizedLayered(rank: 4, [0x7E])) { _ in
    },
    // Every message says something of a second layer too.
    Attack("sound", "layers", of: .quantizedLayered([0x7E, 1, 0x21, 0x4A, 0xE2])) { _ in },
    Attack(
      "TMP-9-11", "2³² symbols of a second layer in five bytes", .limitExceeded, "payloads together",
      of: .claiming([1 << 20, 1 << 12], ["factor": "quantized-layered", "rank": 1])
    ) { _ in },
    Attack("sound", "a masked matrix", of: .masked()) { _ in },
    Attack(
      "TMP-6-23", "a mask without a byte", .malformed, "masked by 0 bytes", of: .masked(),
      entry { $0["mask"] = ["count": 0, "first": 0, "size": 0] }),
    Attack("TMP-6-23", "a masked tensor with a payload", .malformed, "\"payload\"", of: .masked()) {
      $0.expert.manifest["tensors", .at(0), "payload"] = $0.expert.manifest["tensors", .at(0), "vector"]
    },
    Attack("TMP-6-23", "a masked tensor without a vector", .malformed, "vector", of: .masked()) {
      $0.expert.manifest["tensors", .at(0), "vector"] = nil
    },
    Attack("TMP-6-23", "a mask of no matrix", .malformed, "masked", of: .masked()) {
      $0.shared.manifest["tensors", .at(0), "shape"] = [15]
    },
    Attack("TMP-10-10", "a byte after the mask", .malformed, "encoder", of: .masked(mask: [0x55, 0])) { _ in },
    Attack(
      "TMP-10-10", "a mask of a hundred bytes", .malformed, "encoder",
      of: .masked(mask: .init(repeating: 3, count: 100))
    ) {
      _ in
    },
    Attack("TMP-6-23", "a masked vector of scale 0", .malformed, "scale", of: .masked(vector: [0, 0, 0, 1])) { _ in },
    Attack(
      "TMP-9-11", "2³² bits of a mask in five bytes", .limitExceeded, "payloads together",
      of: .claiming([1 << 20, 1 << 12], ["factor": "masked"], ["mask", "vector"])
    ) { _ in },
    Attack(
      "TMP-8-3", "a shared tensor of another digest", .digestMismatch, "instead of",
      shared {
        $0["tensors", .at(1), "digest"] = .string(ContentDigest(of: []).hexadecimal)
      }),
    Attack(
      "TMP-8-3", "a difference of another source", .digestMismatch, "instead of",
      expert {
        $0["tensors", .at(1), "source"] = .string(ContentDigest(of: []).hexadecimal)
      }),
    Attack(
      "TMP-8-3", "a file of another digest", .digestMismatch, "file 'a'",
      shared {
        $0["files"] = [Attacks.file("a")]
        $0["files", .at(0), "digest"] = .string(ContentDigest(of: [1]).hexadecimal)
      }),
  ]
}
