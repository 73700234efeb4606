import TMPackByteIO
import TMPackJSON
import TestSupport

extension HandArchive {
  /// Two experts, `a` and `b`, which are the same, and a router of one layer, [2, 3].
  static var routed: HandArchive {
    routed(
      ["dtype": "F32", "kind": "layers", "slope": "0.01"],
      [lanes([Float](repeating: 0.5, count: 2).map(\.bitPattern)), lanes((0..<6).map { Float($0).bitPattern })]
    ) { model, places in
      model["layers"] = [["bias": places[0], "outputs": 2, "weights": places[1]]]
    }
  }

  /// The same with a router of two examples.
  static var neighbours: HandArchive {
    let ones = lanes([Float](repeating: 1, count: 3).map(\.bitPattern))
    return routed(
      ["count": 1, "dtype": "BF16", "examples": 2, "kind": "neighbours"],
      [ones, lanes([0, 1] as [UInt16]), ones, lanes([UInt16](repeating: 0x3F80, count: 6))]
    ) { model, places in
      for (name, place) in zip(["centers", "labels", "scales", "vectors"], places) { model[.member(name)] = place }
    }
  }

  private static func routed(
    _ model: JSONValue, _ payloads: [[UInt8]], _ place: (inout JSONValue, [JSONValue]) -> Void
  ) -> HandArchive {
    var archive = HandArchive()
    archive.editIndex = { index in
      index["experts", .at(1)] = index["experts", .at(0)]
      index["experts", .at(1), "name"] = "b"
      index["experts", .at(1), "summary", "bytes"] = 0
    }
    var model = model
    place(&model, Self.payloads(payloads.map(\.count)))
    archive.router = HandSection(
      manifest: [
        "classes": ["a", "b"], "defaults": ["fallback_entropy": "0.9", "temperature": "1.5"], "dimension": 3,
        "kind": "router", "measures": ["accuracy": "0.75", "examples": 8, "loss": "0.5", "validation": 4],
        "model": model, "provenance": ["tool": "by hand", "options": [:], "sources": []],
      ], frames: [.raw(payloads.flatMap(\.self))])
    return archive
  }

  /// Edits the router's manifest.
  mutating func editRouter(_ edit: (inout JSONValue) -> Void) { edit(&router!.manifest) }

  /// Changes bytes of the router's frame.
  mutating func patchRouter(at offset: Int, _ bytes: [UInt8]) {
    router!.frames[0].stored.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
}

extension Attacks {
  private static func router(
    _ rule: String, _ name: String, _ words: String, _ code: StorageError.Code = .malformed,
    _ edit: @escaping @Sendable (inout JSONValue) -> Void
  ) -> Attack {
    Attack(rule, name, code, words, of: .routed) { $0.editRouter(edit) }
  }

  private static func neighbours(
    _ rule: String, _ name: String, _ words: String, _ code: StorageError.Code = .malformed,
    _ edit: @escaping @Sendable (inout JSONValue) -> Void
  ) -> Attack {
    Attack(rule, name, code, words, of: .neighbours) { $0.editRouter(edit) }
  }

  /// After what makes two experts of one.
  private static func index(
    _ rule: String, _ name: String, _ words: String, _ edit: @escaping @Sendable (inout JSONValue) -> Void
  ) -> Attack {
    Attack(rule, name, .malformed, words, of: .routed) { archive in
      let first = archive.editIndex
      archive.editIndex = {
        first(&$0)
        edit(&$0)
      }
    }
  }

  private static let nan = lanes([Float.nan.bitPattern])

  static let routers: [Attack] =
    [
      Attack("sound", "a router of layers", of: .routed) { _ in },
      Attack("sound", "a router of examples", of: .neighbours) { _ in },
      // TMP-11-1: "SHOULD be optional".
      Attack("sound", "a required router", of: .routed) { archive in
        let first = archive.editIndex
        archive.editIndex = {
          first(&$0)
          $0["features"] = ["optional": [], "required": ["router"]]
        }
      },
      index("TMP-11-1", "a router without its feature", "go together") { $0["features", "optional"] = [] },
      index("TMP-11-1", "the feature without a router", "go together") { $0["extensions"] = nil },
      index("TMP-11-1", "a router that is a list", "object") { $0["extensions", "router"] = [] },
      index("TMP-11-1", "a router without a section", "section") { $0["extensions", "router"] = [:] },
      index("TMP-11-1", "another member of a router", "\"x\"") { $0["extensions", "router", "x"] = 1 },
      index("TMP-11-3", "a router of an expert that is gone", "no expert") { $0["experts", .at(1), "name"] = "c" },
      router("TMP-11-3", "one class", "fewer than two") { $0["classes"] = ["a"] },
      router("TMP-11-3", "a class twice", "twice") { $0["classes"] = ["a", "a"] },
      router("TMP-11-3", "a class that is no expert", "no expert") { $0["classes"] = ["a", "x"] },
      router("TMP-11-3", "a class that is a number", "string") { $0["classes"] = ["a", 1] },
      router("TMP-11-3", "another kind of manifest", "another kind") { $0["kind"] = "expert" },
      router("TMP-4-6", "another member of the manifest", "\"x\"") { $0["x"] = 1 },
      router("TMP-11-3", "no dimension", "is 0") { $0["dimension"] = 0 },
      router("TMP-11-4", "a temperature of 0", "temperature") { $0["defaults", "temperature"] = "0" },
      router("TMP-11-4", "a temperature that is no number", "temperature") { $0["defaults", "temperature"] = "nan" },
      router("TMP-4-6", "another default", "\"top\"") { $0["defaults", "top"] = 1 },
      router("TMP-11-4", "a negative accuracy", "accuracy") { $0["measures", "accuracy"] = "-1" },
      router("TMP-11-4", "a count in a string", "examples") { $0["measures", "examples"] = "8" },
      router("TMP-11-5", "another kind of model", "unknown kind") { $0["model", "kind"] = "forest" },
      router("TMP-11-5", "a dtype of integers", "\"I8\"") { $0["model", "dtype"] = "I8" },
      router("TMP-11-5", "payloads of another dtype", "bytes instead of") { $0["model", "dtype"] = "F16" },
      router("TMP-11-5", "another dimension", "bytes instead of") { $0["dimension"] = 4 },
      router("TMP-11-6", "no layer", "outputs for 2 classes") { $0["model", "layers"] = [] },
      router("TMP-11-6", "a layer of no output", "is 0") { $0["model", "layers", .at(0), "outputs"] = 0 },
      router("TMP-11-6", "a negative slope", "slope") { $0["model", "slope"] = "-0.1" },
      router("TMP-11-6", "no slope", "slope") { $0["model", "slope"] = nil },
      router("TMP-11-6", "members of the other kind", "\"count\"") { $0["model", "count"] = 1 },
      Attack("TMP-11-6", "an output without a class", .malformed, "3 outputs for 2", of: .routed) { archive in
        let places = HandArchive.payloads([12, 36])
        archive.router!.frames = [.raw([UInt8](repeating: 0, count: 48))]
        archive.editRouter {
          $0["model", "layers"] = [["bias": places[0], "outputs": 3, "weights": places[1]]]
        }
      },
      Attack("TMP-11-5", "a bias that is no number", .malformed, "finite", of: .routed) { $0.patchRouter(at: 0, nan) },
      Attack("TMP-11-5", "a weight that is infinite", .malformed, "finite", of: .routed) {
        $0.patchRouter(at: 8, lanes([Float.infinity.bitPattern]))
      },
      neighbours("TMP-11-7", "no neighbour", "0 neighbours") { $0["model", "count"] = 0 },
      neighbours("TMP-11-7", "more neighbours than examples", "3 neighbours of 2") { $0["model", "count"] = 3 },
      neighbours("TMP-11-7", "no labels", "labels") { $0["model", "labels"] = nil },
      neighbours("TMP-11-5", "an example more than there is", "bytes instead of") { $0["model", "examples"] = 3 },
      Attack("TMP-11-7", "a label without a class", .malformed, "label", of: .neighbours) {
        $0.patchRouter(at: 12, [2, 0])
      },
      Attack("TMP-11-5", "a scale that is no number", .malformed, "finite", of: .neighbours) {
        $0.patchRouter(at: 16, nan)
      },
      router("TMP-9-14", "a dimension of 65,537", "dimension", .limitExceeded) { $0["dimension"] = 65_537 },
      router("TMP-9-14", "a layer of 65,537 outputs", "outputs", .limitExceeded) {
        $0["model", "layers", .at(0), "outputs"] = 65_537
      },
      router("TMP-9-15", "17 layers", "layers", .limitExceeded) {
        $0["model", "layers"] = .array([JSONValue](repeating: $0["model", "layers", .at(0)]!, count: 17))
      },
      router("TMP-9-16", "a layer of 65,536 · 65,536 weights", "weights", .limitExceeded) {
        $0["dimension"] = 65_536
        $0["model", "layers", .at(0), "outputs"] = 65_536
      },
      neighbours("TMP-9-17", "1,048,577 examples", "examples", .limitExceeded) { $0["model", "examples"] = 1_048_577 },
      neighbours("TMP-9-16", "1,048,576 examples of 65 numbers", "weights", .limitExceeded) {
        $0["dimension"] = 65
        $0["model", "examples"] = 1_048_576
      },
      // TMP-11-2: the rules of sections hold.
      Attack("TMP-5-9", "a frame of a router that nothing uses", .malformed, "nothing uses", of: .routed) {
        $0.router!.frames.append(.raw([1]))
      },
      router("TMP-5-8", "a payload beyond the router's frame", "does not fit") {
        $0["model", "layers", .at(0), "weights", "skip"] = 9
      },
    ]
}
