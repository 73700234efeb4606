import ArchiveSupport
import TMPackArchiveFormat
import TMPackByteIO
import TMPackJSON
import TMPackReading
import TMPackRouterTraining
import TestSupport
import Testing

/// Routers in the reader of `Spec/reader`, in NumPy. TMP-11-5 to TMP-11-12.
@Suite(
  .enabled(if: PythonReader.isAvailable, "needs python3 with the packages zstandard and numpy"))
struct RouterReaderTests {
  /// What the reader says of a file of embeddings.
  private func route(_ archive: String, _ inputs: String, _ options: [String]) throws -> [JSONObject] {
    let program = FileTree.join(PythonReader.folder, "tmpack_reader.py")
    let run = try #require(Python.run(["-B", program, archive, "route", "--embedding", inputs] + options))
    try #require(run.code == 0, "\(run.talk)")
    return try run.output.split(separator: "\n").map { line in
      guard case .object(let object) = try JSONValue(parsing: Array(line.utf8)) else {
        throw StorageError(.malformed, "no object")
      }
      return object
    }
  }

  private func number(_ value: JSONValue?) -> Double {
    switch value {
    case .number(let number): number
    case .integer(let integer): Double(integer)
    default: .nan
    }
  }

  @Test(arguments: RouterTraining.Kind.allCases, RouterDType.allCases) func agrees(
    _ kind: RouterTraining.Kind, _ dtype: RouterDType
  ) throws {
    let classes = ["é", "b", "c"]
    let archive = try RoutedArchive(classes)
    var training = RouterTraining()
    training.kind = kind
    training.dtype = dtype
    training.hidden = [20, 11]
    training.epochs = 3
    training.fallbackRate = 0.2
    func blobs(_ seed: UInt64) throws -> Blobs { try Blobs(classes: 3, dimension: 7, each: 50, spread: 5, seed: seed) }
    try archive.open().put(
      training.fit(
        blobs(1).labelled(classes), validation: blobs(2).labelled(classes), classes: classes, provenance: noProvenance))
    let test = try blobs(3).embeddings
    let path = archive.folder("inputs.safetensors")
    try writeModel([tensor("embeddings", .f32, [test.rows, 7], test.values.map { Double($0) })], to: path)
    let router = try Router(archive.open())
    let settings: [([String], Pooling, RoutingOptions)] = [
      ([], .each, .standard), (["--group-size", "4"], .groups(of: 4), .standard),
      (
        ["--top", "2", "--temperature", "3", "--no-fallback"], .each,
        try RoutingOptions(temperature: 3, top: 2, fallback: .never)
      ),
      (
        ["--threshold", "0.25", "--fallback-entropy", "0.6", "--group-size", "150"], .all,
        try RoutingOptions(threshold: 0.25, fallback: .above(0.6))
      ),
    ]
    for (options, pooling, own) in settings {
      let expected = try route(archive.path, path, options)
      let routings = try router.route(test, pooling: pooling, own)
      try #require(expected.count == routings.count)
      for (routing, expected) in zip(routings, expected) {
        #expect(abs(routing.entropy - number(expected["entropy"])) < 1e-9)
        #expect(.bool(routing.fellBack) == expected["fell_back"])
        guard case .object(let weights) = expected["weights"] else { throw StorageError(.malformed, "no weights") }
        #expect(weights.names == classes)
        for (name, weight) in routing.weights.entries { #expect(abs(Double(weight) - number(weights[name])) < 1e-7) }
      }
    }
  }

  @Test func agreesOnGoldenFiles() throws {
    let folder = TemporaryFolder()
    let golden = Golden.all.filter { !$0.routes.isEmpty }
    #expect(golden.count == 2)
    for archive in golden {
      for (number, expected) in archive.routes.enumerated() {
        let path = folder("\(archive.name)-\(number).safetensors")
        let values = expected.inputs.map { Double($0) }
        try writeModel([tensor("embeddings", .f32, [values.count / 3, 3], values)], to: path)
        let own = try route(archive.path, path, ["--group-size", "\(values.count / 3)"])
        #expect(abs(self.number(own[0]["entropy"]) - expected.entropy) < 1e-9)
      }
    }
  }
}
