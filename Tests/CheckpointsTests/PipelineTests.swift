import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Folders of several models, as `diffusers` keeps them.
@Suite struct PipelineTests {
  static let index = """
    {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", "requires_safety_checker": true,
     "feature_extractor": [null, null], "scheduler": ["diffusers", "PNDMScheduler"],
     "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
     "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "gone": ["diffusers", "X"]}
    """

  static func put(_ text: String, at path: String) throws { try TestSupport.put(Array(text.utf8), at: path) }

  /// A small pipeline: `vae` in shards, `unet` in the format of PyTorch.
  static func make(in folder: TemporaryFolder) throws -> String {
    let root = folder("pipeline")
    for path in ["", "/text_encoder", "/tokenizer", "/scheduler", "/unet"] { try FileTree.makeFolder(root + path) }
    try put(index, at: root + "/model_index.json")
    for file in ["unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json", "tokenizer/vocab"] {
      try put("\"\(file)\"", at: "\(root)/\(file)")
    }
    let text = try source([info("embed", .f32, [4, 2]), info("x.y", .i64, [])], metadata: ["format": "pt"], seed: 2)
    try CheckpointDestination(root + "/text_encoder/model.safetensors").write(text)
    try CheckpointDestination(root + "/unet/diffusion_pytorch_model.bin")
      .write(source([info("conv_in.weight", .bf16, [2, 3]), info("a/b", .u8, [3])], seed: 3))
    // Another variant beside it.
    try CheckpointDestination(root + "/unet/diffusion_pytorch_model.fp16.bin").write(source([info("v", .f16, [1])]))
    let vae = try source([info("decoder", .f16, [9]), info("encoder", .f16, [9])], seed: 4)
    try CheckpointDestination(root + "/vae", maxShardBytes: 18)
      .write(vae, carriedFiles: [CheckpointDestinationTests.content("config.json", "{}")])
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for shard in shards { #expect(rename("\(root)/vae/\(shard)", "\(root)/vae/diffusion_pytorch_\(shard)") == 0) }
    removeFile(root + "/vae/model.safetensors.index.json")
    let map =
      #"{"weight_map":{"decoder":"diffusion_pytorch_\#(shards[0])","encoder":"diffusion_pytorch_\#(shards[1])"}}"#
    try put(map, at: root + "/vae/diffusion_pytorch_model.safetensors.index.json")
    return root
  }

  static let names = [
    "text_encoder/embed", "text_encoder/x.y", "unet/a/b", "unet/conv_in.weight", "vae/decoder", "vae/encoder",
  ]

  @Test func readsTheComponentsAsOne() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    try CheckpointDestination(root + "/whole.safetensors").write(source([info("w", .u8, [1])]))
    let checkpoint = try Checkpoint.open(root)
    #expect(checkpoint.source.tensors.map(\.name) == Self.names)
    let unet = try Checkpoint.open(root + "/unet/diffusion_pytorch_model.bin").source
    #expect(try bytes(of: checkpoint.source, "unet/a/b") == bytes(of: unet, "a/b"))
    #expect(checkpoint.source.metadata == ["format": "pt"])
    #expect(checkpoint.weightFiles.count == 4)
    #expect(
      checkpoint.carriedFiles.map(\.name.text) == [
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "tokenizer/vocab",
        "unet/config.json", "vae/config.json",
      ])
    #expect(
      checkpoint.skippedFiles.map(\.name) == ["unet/diffusion_pytorch_model.fp16.bin", "whole.safetensors"])
  }

  @Test(arguments: [WritableFormat.safetensors, .pytorch], [18, 1_000_000] as [UInt64])
  func takesThemApartAgain(_ format: WritableFormat, _ maximum: UInt64) throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    let original = try Checkpoint.open(root)
    let destination = try CheckpointDestination(folder("out"), format: format, maxShardBytes: maximum)
    var last: (UInt64, UInt64) = (0, 1)
    try destination.write(original.source, carriedFiles: original.carriedFiles.map(\.content)) { last = ($0, $1) }
    #expect(last.0 == last.1)
    let copy = try Checkpoint.open(folder("out"))
    #expect(try hasSameTensors(copy.source, original.source))
    #expect(copy.carriedFiles.map(\.name) == original.carriedFiles.map(\.name))
    #expect(copy.skippedFiles.isEmpty)
    let suffix = format == .safetensors ? "safetensors" : "bin"
    let stem = format == .safetensors ? "model" : "pytorch_model"
    if maximum > 18 {
      #expect(
        copy.weightFiles.map { String($0.dropFirst(folder("out/").count)) } == [
          "text_encoder/\(stem).\(suffix)", "unet/diffusion_pytorch_model.\(suffix)",
          "vae/diffusion_pytorch_model.\(suffix)",
        ])
    } else {
      let names = try FileTree.names(in: folder("out/vae"))
      #expect(names.contains("diffusion_pytorch_model.\(suffix).index.json"))
      #expect(names.contains("diffusion_pytorch_model-00001-of-00002.\(suffix)"))
    }
    // One component is a model folder by itself.
    #expect(try Checkpoint.open(folder("out/unet")).source.tensors.map(\.name) == ["a/b", "conv_in.weight"])
  }

  @Test func onlyAPipelineIsTakenApart() throws {
    let folder = TemporaryFolder()
    let files = try [CheckpointDestinationTests.content("model_index.json", Self.index)]
    func written(_ names: [String], _ files: [CarriedContent], _ output: String) throws -> [String] {
      try CheckpointDestination(folder(output)).write(source(names.map { try info($0, .u8, [1]) }), carriedFiles: files)
      return try FileTree.names(in: folder(output))
    }
    #expect(try written(["unet/a"], [], "1") == ["model.safetensors"])
    #expect(try written(["unet/a", "b"], files, "2") == ["model.safetensors", "model_index.json"])
    #expect(try written(["unet/a", "other/b"], files, "3") == ["model.safetensors", "model_index.json"])
    #expect(try written(["unet/a", "vae/b"], files, "4") == ["model_index.json", "unet", "vae"])
    #expect(try written([], files, "5") == ["model.safetensors", "model_index.json"])
    for (number, text) in ["[", "{}", "[]", #"{"..": ["diffusers", "X"]}"#, #"{"a/b": ["x", "y"]}"#].enumerated() {
      let files = try [CheckpointDestinationTests.content("model_index.json", text)]
      #expect(try written(["../a", "a/b/c"], files, "h\(number)") == ["model.safetensors", "model_index.json"])
    }
    #expect(folder.names == ["1", "2", "3", "4", "5", "h0", "h1", "h2", "h3", "h4"])
  }

  @Test(arguments: [
    #"{"..": ["diffusers", "X"]}"#, #"{"": ["diffusers", "X"]}"#, #"{"a/b": ["diffusers", "X"]}"#,
    #"{"/etc": ["diffusers", "X"]}"#, #"{"a\\b": ["diffusers", "X"]}"#, #"{"a\u0000": ["diffusers", "X"]}"#, "[", "[]",
    #"{"a": ["diffusers", "X"], "a": ["diffusers", "X"]}"#,
  ])
  func refusesTheIndex(_ text: String) throws {
    let folder = TemporaryFolder()
    try Self.put(text, at: folder("model_index.json"))
    let error = failure { _ = try Checkpoint.open(folder.path) }
    #expect(error?.code == .malformed)
    #expect(error?.file == folder("model_index.json"))
  }

  @Test func followsNoLinkToAComponent() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    #expect(rename(root + "/unet", folder("elsewhere")) == 0)
    #expect(symlink(folder("elsewhere"), root + "/unet") == 0)
    let checkpoint = try Checkpoint.open(root)
    #expect(!checkpoint.source.tensors.contains { $0.name.hasPrefix("unet/") })
    #expect(checkpoint.skippedFiles.contains { $0.name == "unet" && $0.reason == .link })
  }

  @Test func namesTheComponentThatCannotBeRead() throws {
    let folder = TemporaryFolder()
    let root = try Self.make(in: folder)
    try Self.put("x", at: root + "/scheduler/flax_model.msgpack")
    let error = failure { _ = try Checkpoint.open(root) }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.file == root + "/scheduler")
  }

  @Test func anIndexWithoutComponentsIsAnotherFile() throws {
    let folder = TemporaryFolder()
    try Self.put("{}", at: folder("model_index.json"))
    try CheckpointDestination(folder("model.safetensors")).write(source([info("w", .u8, [1])]))
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.source.tensors.map(\.name) == ["w"])
    #expect(checkpoint.carriedFiles.map(\.name.text) == ["model_index.json"])
  }
}
