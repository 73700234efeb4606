import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Files of tensors beside a model that its network needs.
@Suite struct ComponentFileTests {
  /// A model of 40 bytes with a head in PyTorch's format and one in safetensors.
  static func make(in folder: TemporaryFolder) throws -> String {
    let root = folder("model")
    try FileTree.makeFolder(root)
    try CheckpointDestination("\(root)/pytorch_model.bin").write(source([info("w", .f32, [2, 5])], seed: 1))
    try CheckpointDestination("\(root)/colbert_linear.pt")
      .write(source([info("bias", .f32, [2]), info("weight", .f32, [2, 2])], seed: 2))
    try CheckpointDestination("\(root)/value_head.safetensors").write(source([info("w", .f32, [3])], seed: 3))
    try PipelineTests.put("{}", at: "\(root)/config.json")
    return root
  }

  static let names = ["colbert_linear.pt/bias", "colbert_linear.pt/weight", "value_head.safetensors/w", "w"]

  @Test func theyAreComponentsByTheirNames() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    let checkpoint = try Checkpoint.open(root)
    #expect(checkpoint.source.tensors.map(\.name) == Self.names)
    let head = try Checkpoint.open(root + "/colbert_linear.pt").source
    #expect(try bytes(of: checkpoint.source, "colbert_linear.pt/weight") == bytes(of: head, "weight"))
    #expect(checkpoint.weightFiles.count == 3 && checkpoint.skippedFiles.isEmpty)
    let weight = try #require(checkpoint.source.tensor(named: "value_head.safetensors/w"))
    #expect(
      try checkpoint.source.piece(4..<8, of: weight) == Array(bytes(of: checkpoint.source, weight.name)[4..<8]))
  }

  /// Each in its own format, whatever the model's becomes.
  @Test(arguments: [WritableFormat.safetensors, .pytorch, .npz]) func theyAreWrittenAsTheyWere(
    _ format: WritableFormat
  ) throws {
    let folder = TemporaryFolder()
    let original = try Checkpoint.open(Self.make(in: folder))
    let destination = try CheckpointDestination(folder("out"), format: format, maxShardBytes: 8)
    try destination.write(original.source, carriedFiles: original.carriedFiles.map(\.content))
    let copy = try Checkpoint.open(folder("out"))
    #expect(try hasSameTensors(copy.source, original.source))
    let names = try FileTree.names(in: folder("out"))
    #expect(names.contains("colbert_linear.pt") && names.contains("value_head.safetensors") && names.count == 4)
    #expect(try Checkpoint.open(folder("out/colbert_linear.pt")).source.tensors.map(\.name) == ["bias", "weight"])
    // What they replace is theirs.
    try CheckpointDestination(folder("out"), format: .pytorch, replacing: true).write(original.source)
    #expect(try FileTree.names(in: folder("out")).count == 3)
  }

  @Test func besideTheModelOfAPipelineTheyKeepTheFolders() throws {
    let folder = TemporaryFolder()
    let root = try ModuleListTests.make(in: folder)
    try CheckpointDestination("\(root)/sparse_linear.pt").write(source([info("weight", .f32, [1])], seed: 9))
    let original = try Checkpoint.open(root)
    #expect(original.source.tensor(named: "sparse_linear.pt/weight") != nil)
    try CheckpointDestination(folder("out"))
      .write(original.source, carriedFiles: original.carriedFiles.map(\.content))
    #expect(try hasSameTensors(Checkpoint.open(folder("out")).source, original.source))
    #expect(try Checkpoint.open(folder("out/2_Dense/model.safetensors")).source.tensors.count == 2)
    #expect(try FileTree.names(in: folder("out")).contains("sparse_linear.pt"))
  }

  /// A copy, another model, an adapter, what a training leaves, what cannot be read.
  @Test(arguments: [
    ("ema.safetensors", "w", [2, 5], DType.f32), ("large.safetensors", "x", [11], .f32),
    ("lora.safetensors", "a.lora_A.weight", [1], .f32), ("consolidated.safetensors", "x", [1], .f32),
    ("optimizer.pt", "x", [1], .f32), ("model.fp16.safetensors", "x", [1], .f32),
    ("adapter_model.safetensors", "x", [1], .f32), ("x-00001-of-00002.safetensors", "x", [1], .f32),
    ("weights.npz", "x", [1], .f32),
  ])
  func whatIsSomethingElseStaysBehind(_ name: String, _ tensor: String, _ shape: [Int], _ dtype: DType) throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    try CheckpointDestination("\(root)/\(name)").write(source([info(tensor, dtype, shape)], seed: 5))
    let checkpoint = try Checkpoint.open(root)
    #expect(checkpoint.source.tensors.map(\.name) == Self.names)
    #expect(checkpoint.skippedFiles.map(\.name) == [name])
    #expect(checkpoint.skippedFiles.allSatisfy { $0.reason == .weights })
  }

  @Test func whatCannotBeReadStaysBehind() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    try PipelineTests.put("no weights", at: "\(root)/head.pt")
    #expect(try Checkpoint.open(root).skippedFiles.map(\.name) == ["head.pt"])
  }

  /// `value_head.safetensors` is none of the model's, though its format comes before that of the model.
  @Test func theModelIsTheFileThatLibrariesLookFor() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    removeFile("\(root)/colbert_linear.pt")
    #expect(try Checkpoint.open(root).source.tensors.map(\.name) == ["value_head.safetensors/w", "w"])
  }

  /// Meta's models of several parts: each has a share of every matrix, and looks whole.
  @Test func partsOfATensorParallelCheckpointAreRefused() throws {
    let folder = TemporaryFolder()
    let part = folder("consolidated.00.pth")
    try CheckpointDestination(part).write(source([info("output.weight", .f32, [2, 5])]))
    #expect(try Checkpoint.open(part).source.tensors.count == 1)
    let other = folder("consolidated.01.pth")
    try CheckpointDestination(other).write(source([info("output.weight", .f32, [2, 5])]))
    for path in [part, other] {
      let error = failure { _ = try Checkpoint.open(path) }
      #expect(error?.code == .unsupportedFeature && error?.file == path)
      #expect(error?.message.contains("consolidated.00.pth, consolidated.01.pth") == true)
    }
    removeFile(part)
    #expect(code { _ = try Checkpoint.open(other) } == .unsupportedFeature)
  }
}
