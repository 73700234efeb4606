import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct CheckpointDestinationTests {
  static func layers() throws -> MemoryTensorSource {
    try source(
      (0..<6).flatMap { layer in
        try [info("layer.\(layer).weight", .f32, [4, 4]), info("layer.\(layer).bias", .u64, [4])]
      }, metadata: ["format": "pt"])
  }

  static func content(_ name: String, _ text: String) throws -> CarriedContent {
    let bytes = Array(text.utf8)
    return try CarriedContent(CarriedFileName(name)) { bytes }
  }

  @Test func writesOneFileIntoAFolder() throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    try CheckpointDestination(folder("out")).write(
      original, carriedFiles: [Self.content("config.json", "{}"), Self.content("1_Pooling/config.json", "[]")])
    #expect(try FileTree.names(in: folder("out")) == ["1_Pooling", "config.json", "model.safetensors"])
    #expect(try contents(folder("out/1_Pooling/config.json")) == Array("[]".utf8))
    #expect(try hasSameTensors(Checkpoint.open(folder("out")).source, original))
    #expect(folder.names == ["out"])
  }

  /// `transformers` does not load safetensors files that name no framework.
  @Test(arguments: [["x": "y"], [:], ["format": "mlx"]]) func namesAFramework(_ metadata: [String: String]) throws {
    let folder = TemporaryFolder()
    let original = try source([info("a", .u8, [4]), info("b", .u8, [4])], metadata: metadata)
    try CheckpointDestination(folder("out"), maxShardBytes: 4).write(original)
    let expected = metadata.merging(["format": "pt"]) { own, _ in own }
    let shards = try Checkpoint.open(folder("out")).weightFiles
    #expect(shards.count == 2)
    for shard in shards { #expect(try SafetensorsFile(shard).metadata == expected) }
    try CheckpointDestination(folder("out.safetensors")).write(original)
    #expect(try SafetensorsFile(folder("out.safetensors")).metadata == expected)
    // A framework that goes without saying stays out of other formats.
    try CheckpointDestination(folder("a.gguf")).write(source([info("a", .f32, [4])], metadata: expected))
    #expect(try Checkpoint.open(folder("a.gguf")).source.metadata == metadata)
  }

  @Test(arguments: [1, 96, 100, 200, 576] as [UInt64]) func splitsIntoShards(_ maximum: UInt64) throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    try CheckpointDestination(folder("out"), maxShardBytes: maximum).write(original, threads: 2)
    let checkpoint = try Checkpoint.open(folder("out"))
    #expect(try hasSameTensors(checkpoint.source, original))
    #expect(checkpoint.source.metadata == original.metadata)
    #expect(checkpoint.skippedFiles.isEmpty)
    var expected = 0
    for path in checkpoint.weightFiles {
      let shard = try SafetensorsFile(path)
      #expect(
        shard.tensors.reduce(0) { $0 + UInt64($1.byteCount) } <= maximum || shard.tensors.count == 1)
      // A run of the names' order: layers stay together.
      #expect(shard.tensors.map(\.name) == original.tensors[expected..<expected + shard.tensors.count].map(\.name))
      expected += shard.tensors.count
    }
    #expect(expected == original.tensors.count)
    #expect(checkpoint.weightFiles.count == [1: 12, 96: 6, 100: 6, 200: 3, 576: 1][maximum])
  }

  @Test func writesTheIndexAsTransformersDoes() throws {
    let folder = TemporaryFolder()
    let original = try source([info("b", .u8, [3]), info("a", .u8, [2])])
    try CheckpointDestination(folder("out"), maxShardBytes: 3).write(original)
    let expected = """
      {
        "metadata": {
          "total_size": 5
        },
        "weight_map": {
          "a": "model-00001-of-00002.safetensors",
          "b": "model-00002-of-00002.safetensors"
        }
      }

      """
    #expect(try contents(folder("out/model.safetensors.index.json")) == Array(expected.utf8))
  }

  @Test func writesACheckpointWithoutTensors() throws {
    let folder = TemporaryFolder()
    let nothing = try MemoryTensorSource([])
    try CheckpointDestination(folder("out")).write(nothing)
    try CheckpointDestination(folder("out.safetensors")).write(nothing)
    #expect(try Checkpoint.open(folder("out")).source.tensors.isEmpty)
    #expect(try Checkpoint.open(folder("out.safetensors")).source.tensors.isEmpty)
  }

  @Test func reportsProgressToTheLastByte() throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    var reports: [UInt64] = []
    try CheckpointDestination(folder("out"), maxShardBytes: 200).write(original, threads: 3) { written, total in
      #expect(total == 576)
      reports.append(written)
    }
    #expect(reports == reports.sorted())
    #expect(reports.count == 12)
    #expect(reports.last == 576)
  }

  @Test(arguments: ["out", "out.safetensors"]) func refusesWhatExistsUnlessReplacing(_ name: String) throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    try CheckpointDestination(folder(name)).write(original)
    #expect(code { try CheckpointDestination(folder(name)).write(original) } == .outputExists)
    let other = try source([info("x", .u8, [1])])
    try CheckpointDestination(folder(name), replacing: true).write(other)
    #expect(try Checkpoint.open(folder(name)).source.tensors.map(\.name) == ["x"])
    #expect(folder.names == [name])
  }

  /// All of the old model goes, nothing else: neither is a shard left that no index names, nor is anyone's file lost.
  @Test func replacesModelsOnly() throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    let notes = [CarriedContent(try CarriedFileName("config.json")) { Array("{}".utf8) }]
    try CheckpointDestination(folder("out"), maxShardBytes: 200).write(original, carriedFiles: notes)
    #expect(try FileTree.names(in: folder("out")).count > 3)
    func replace() throws {
      try CheckpointDestination(folder("out"), replacing: true).write(original, carriedFiles: notes)
    }
    try replace()
    #expect(try FileTree.names(in: folder("out")) == ["config.json", "model.safetensors"])
    for other in ["zoo.tmpack", "notes.txt", ".git"] {
      try put([1], at: folder("out/\(other)"))
      let error = failure { try replace() }
      #expect(error?.code == .outputExists && error?.message.contains(other) == true)
      removeFile(folder("out/\(other)"))
    }
    try replace()
  }

  @Test(arguments: ["out", "out.safetensors"], [1, 2, 4]) func leavesNothingAfterAFailure(
    _ name: String, _ threads: Int
  ) throws {
    let folder = TemporaryFolder()
    let failing = try FailingSource(whole: Self.layers(), broken: "layer.4.weight")
    let error = failure {
      try CheckpointDestination(folder(name), maxShardBytes: 200).write(failing, threads: threads)
    }
    #expect(error?.code == .digestMismatch)
    #expect(error?.tensor == "layer.4.weight")
    #expect(folder.names.isEmpty)
  }

  @Test func aFailureKeepsWhatWasThere() throws {
    let folder = TemporaryFolder()
    let original = try Self.layers()
    let failing = FailingSource(whole: original, broken: "layer.0.bias")
    for name in ["out", "out.safetensors"] {
      try CheckpointDestination(folder(name)).write(original)
      #expect(code { try CheckpointDestination(folder(name), replacing: true).write(failing) } == .digestMismatch)
      #expect(try hasSameTensors(Checkpoint.open(folder(name)).source, original))
    }
    #expect(folder.names == ["out", "out.safetensors"])
  }

  @Test func refusesAFailingCarriedFileBeforeTheTensors() throws {
    let folder = TemporaryFolder()
    let broken = try CarriedContent(CarriedFileName("b")) { () throws(StorageError) in
      throw StorageError(.digestMismatch, "damaged")
    }
    let files = try [Self.content("a", ""), broken]
    #expect(
      code {
        try CheckpointDestination(folder("out")).write(Self.layers(), carriedFiles: files) { _, _ in
          Issue.record("a tensor was written")
        }
      } == .digestMismatch)
    #expect(folder.names.isEmpty)
  }

  /// What a file system holds comes back: the longest names, and on Linux one name in two Unicode spellings.
  @Test func writesFilesOfUnusualNames() throws {
    let folder = TemporaryFolder()
    var names = [String(repeating: "n", count: 255), String(repeating: "é", count: 127)]
    #if os(Linux)
      names += ["é", "e\u{301}"]
    #endif
    let files = try names.map { try Self.content($0, $0) }
    for replacing in [false, true] {
      try CheckpointDestination(folder("out"), replacing: replacing).write(Self.layers(), carriedFiles: files)
      for name in names { #expect(try contents(folder("out/\(name)")) == Array(name.utf8)) }
      #expect(try FileTree.names(in: folder("out")).count == names.count + 1)
    }
    let path = folder(String(repeating: "o", count: 243) + ".safetensors")
    try CheckpointDestination(path).write(Self.layers())
    #expect(FileTree.kind(of: path) == .file)
  }

  @Test func refusesCarriedFilesThatHaveNoPlace() throws {
    let folder = TemporaryFolder()
    let layers = try Self.layers()
    func refusal(_ name: String, _ files: [String]) -> StorageError.Code? {
      code {
        try CheckpointDestination(folder(name)).write(layers, carriedFiles: files.map { try Self.content($0, "") })
      }
    }
    #expect(refusal("out.safetensors", ["config.json"]) == .invalidArgument)
    #expect(refusal("out", ["model.safetensors"]) == .malformed)
    #expect(refusal("out", ["a", "a"]) == .malformed)
    #expect(refusal("out", ["a", "a/b"]) != nil)
    #expect(refusal("out.onnx", []) == .unsupportedFeature)
    #expect(refusal("out.bin", ["config.json"]) == .invalidArgument)
    #expect(code { _ = try CheckpointDestination(folder("out.bin"), format: .npz) } == .invalidArgument)
    #expect(folder.names.isEmpty)
  }
}
