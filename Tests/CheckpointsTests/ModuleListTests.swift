import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

/// Folders of sentence-transformers: a model, and modules behind it with weights of their own.
@Suite struct ModuleListTests {
  static let list = """
    [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
     {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
     {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
     {"idx": 3, "name": "3", "path": "3_Router", "type": "sentence_transformers.models.Router"}]
    """

  static func make(in folder: TemporaryFolder) throws -> String {
    let root = folder("model")
    for path in ["", "/1_Pooling", "/2_Dense", "/3_Router", "/3_Router/query", "/onnx"] {
      try FileTree.makeFolder(root + path)
    }
    for (file, text) in [
      ("modules.json", list), ("config.json", "{}"), ("1_Pooling/config.json", "{}"), ("2_Dense/config.json", "{}"),
      ("onnx/model.onnx", "x"),
    ] {
      try PipelineTests.put(text, at: "\(root)/\(file)")
    }
    for (number, file) in ["model", "2_Dense/model", "3_Router/query/model"].enumerated() {
      let held = try source([info("w", .f32, [2, 3]), info("b", .bf16, [3])], seed: UInt64(number + 1))
      try CheckpointDestination("\(root)/\(file).safetensors").write(held)
    }
    return root
  }

  @Test func readsTheModulesWithTheModel() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    let checkpoint = try Checkpoint.open(root)
    #expect(
      checkpoint.source.tensors.map(\.name) == [
        "2_Dense/b", "2_Dense/w", "3_Router/query/b", "3_Router/query/w", "b", "w",
      ])
    let dense = try Checkpoint.open(root + "/2_Dense/model.safetensors").source
    #expect(try bytes(of: checkpoint.source, "2_Dense/w") == bytes(of: dense, "w"))
    #expect(checkpoint.weightFiles.count == 3)
    #expect(checkpoint.skippedFiles.map(\.name) == ["onnx/model.onnx"])
  }

  @Test(arguments: [WritableFormat.safetensors, .pytorch]) func writesThemWhereTheyWere(_ format: WritableFormat) throws
  {
    let folder = TemporaryFolder()
    let original = try Checkpoint.open(Self.make(in: folder))
    try CheckpointDestination(folder("out"), format: format)
      .write(original.source, carriedFiles: original.carriedFiles.map(\.content))
    let copy = try Checkpoint.open(folder("out"))
    #expect(try hasSameTensors(copy.source, original.source))
    let name = format == .safetensors ? "model.safetensors" : "pytorch_model.bin"
    #expect(
      Set(copy.weightFiles.map { String($0.dropFirst(folder("out/").count)) }) == [
        name, "2_Dense/\(name)", "3_Router/query/\(name)",
      ])
    #expect(copy.skippedFiles.isEmpty)
  }

  /// Sub-models of a router that is the folder itself stand beside its configuration.
  @Test func readsTheModulesOfARouter() throws {
    let folder = TemporaryFolder()
    let root = folder("model")
    for path in ["", "/query_0_Transformer", "/document_0_Transformer"] { try FileTree.makeFolder(root + path) }
    try PipelineTests.put(
      #"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}]"#,
      at: "\(root)/modules.json")
    try PipelineTests.put(
      #"{"types": {"query_0_Transformer": "T", "document_0_Transformer": "T"}}"#, at: "\(root)/router_config.json")
    for (number, part) in ["query_0_Transformer", "document_0_Transformer"].enumerated() {
      try CheckpointDestination("\(root)/\(part)/model.safetensors")
        .write(source([info("w", .f32, [2])], seed: UInt64(number)))
    }
    let original = try Checkpoint.open(root)
    #expect(original.source.tensors.map(\.name) == ["document_0_Transformer/w", "query_0_Transformer/w"])
    try CheckpointDestination(folder("out")).write(original.source, carriedFiles: original.carriedFiles.map(\.content))
    let copy = try Checkpoint.open(folder("out"))
    #expect(try hasSameTensors(copy.source, original.source))
    #expect(copy.weightFiles.count == 2)
  }

  /// A slash in a name means nothing where no module is called so.
  @Test func otherNamesStayInOneFile() throws {
    let folder = TemporaryFolder()
    let files = try [CheckpointDestinationTests.content("modules.json", Self.list)]
    try CheckpointDestination(folder("out"))
      .write(source([info("4_Other/a", .u8, [1]), info("2_Dense", .u8, [1])]), carriedFiles: files)
    #expect(try FileTree.names(in: folder("out")) == ["model.safetensors", "modules.json"])
    for (number, text) in ["[", "{}", #"[{"path": "../x"}]"#, #"[{}]"#].enumerated() {
      let files = try [CheckpointDestinationTests.content("modules.json", text)]
      try CheckpointDestination(folder("\(number)")).write(source([info("../x/a", .u8, [1])]), carriedFiles: files)
      #expect(try FileTree.names(in: folder("\(number)")) == ["model.safetensors", "modules.json"])
      let leadsOut = text.contains("..")
      #expect(failure { _ = try Checkpoint.open(folder("\(number)")) }?.code == (leadsOut ? .malformed : nil))
    }
  }
}
