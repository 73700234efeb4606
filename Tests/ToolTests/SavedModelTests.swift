import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// Models as people have saved them: in other dtypes, under names of wrappers, with copies of what is tied, with more weights beside.
@Suite struct SavedModelTests {
  private let folder = TemporaryFolder()

  private func write(
    _ name: String, _ dtype: DType = .f32, seed: UInt64, says: String = "float32", stem: String = "model.layers.0.",
    hasCopy: Bool = false
  ) throws {
    let embedding = noise(128, seed: seed)
    var tensors = try [
      tensor("model.embed_tokens.weight", dtype, [8, 16], embedding),
      tensor("\(stem)mlp.up_proj.weight", dtype, [32, 16], noise(512, seed: seed + 10)),
      tensor("\(stem)mlp.down_proj.weight", dtype, [16, 32], noise(512, seed: seed + 20)),
    ]
    if hasCopy { tensors.append(try tensor("lm_head.weight", dtype, [8, 16], embedding)) }
    try writeModel(
      tensors, files: [("config.json", Array(#"{"model_type": "llama", "dtype": "\#(says)"}"#.utf8))], to: folder(name))
  }

  private func dtype(of model: String) throws -> JSONValue? {
    try JSONValue(parsing: contents(folder("\(model)/config.json"))).asObject("config.json")["dtype"]
  }

  @Test(arguments: [
    (DType.f32, "float32", DType.f16, "float16"), (.bf16, "bfloat16", .f32, "float32"),
    (.f16, "float16", .bf16, "bfloat16"),
  ])
  func theConfigurationSaysTheDTypeThatIsWritten(
    _ own: DType, _ ownName: String, _ other: DType, _ otherName: String
  ) throws {
    try write("base", own, seed: 1, says: ownName)
    try write("a", other, seed: 2, says: otherName)
    let packed = try tmpack(
      "pack", "--base", folder("base"), "--expert", "a=\(folder("a"))", "--rank", "2", "-o", folder("zoo.tmpack"))
    try #require(packed.code == 0, "\(packed.talk)")
    for selection in [["--expert", "a"], ["--weights", "a=0.5"]] {
      let run = try tmpack(["unpack", folder("zoo.tmpack"), "-o", folder("out"), "--force"] + selection)
      try #require(run.code == 0, "\(run.talk)")
      #expect(try Checkpoint.open(folder("out")).source.tensors.allSatisfy { $0.dtype == own })
      #expect(try dtype(of: "out") == .string(ownName))
    }
  }

  @Test(arguments: ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."])
  func namesOfWrappersAreTakenAway(_ wrapper: String) throws {
    try write("base", seed: 1)
    try write("plain", seed: 2)
    try write("wrapped", seed: 2, stem: "model.layers.0.\(wrapper)")
    for name in ["plain", "wrapped"] {
      let run = try tmpack(
        "merge", "average", "--base", folder("base"), "--expert", "a=\(folder(name))", "-o", folder("\(name)-merged"))
      try #require(run.code == 0, "\(run.talk)")
    }
    let same = try tmpack("compare", folder("plain-merged"), folder("wrapped-merged"), "--require-equal")
    #expect(same.code == 0, "\(same)")
  }

  @Test func aCopyOfWhatBothHaveIsNoDifference() throws {
    try write("once", seed: 1)
    try write("twice", seed: 1, hasCopy: true)
    for (left, right) in [("once", "twice"), ("twice", "once")] {
      let run = try tmpack("compare", folder(left), folder(right), "--require-equal")
      #expect(run.code == 0 && !run.talk.contains("only in"), "\(run)")
    }
    try write("other", seed: 2, hasCopy: true)
    #expect(try tmpack("compare", folder("once"), folder("other"), "--require-equal").code != 0)
    let merged = try tmpack(
      "merge", "average", "--base", folder("once"), "--expert", "a=\(folder("twice"))", "-o", folder("m"))
    #expect(merged.code == 0 && !merged.talk.contains("left out"), "\(merged)")
  }

  @Test func weightsBesideTheModelAreNeitherComparedNorProvedInSilence() throws {
    try write("a", seed: 1)
    try write("b", seed: 1)
    for name in ["a", "b"] {
      let weights = try contents(folder("\(name)/model.safetensors"))
      try put(name == "a" ? weights : weights + [0], at: folder("\(name)/value_head.bin"))
    }
    let run = try tmpack("compare", folder("a"), folder("b"))
    #expect(run.code == 0 && run.talk.contains("b/value_head.bin is not compared"), "\(run)")
    let packed = try tmpack(
      "pack", "--lossless", "--base", folder("a"), "--expert", "b=\(folder("b"))", "-o", folder("zoo.tmpack"))
    try #require(packed.code == 0, "\(packed)")
    let proof = try tmpack("verify", folder("zoo.tmpack"), "--source", "b=\(folder("b"))")
    #expect(proof.code == 0 && proof.talk.contains("b/value_head.bin is not proved"), "\(proof)")
  }

  /// The file of an adapter's weights means the adapter.
  @Test func theWeightsOfAnAdapterAreTheAdapter() throws {
    try write("base", seed: 1)
    let stem = "base_model.model.model.layers.0.mlp.up_proj.lora"
    try writeModel(
      [
        tensor("\(stem)_A.weight", .f32, [2, 16], noise(32, seed: 3)),
        tensor("\(stem)_B.weight", .f32, [32, 2], noise(64, seed: 4)),
      ], to: folder("adapter_model.safetensors"))
    let settings = #"{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["up_proj"]}"#
    try put(Array(settings.utf8), at: folder("adapter_config.json"))
    let run = try tmpack(
      "merge", "average", "--base", folder("base"), "--expert", "a=\(folder("adapter_model.safetensors"))", "-o",
      folder("out"))
    #expect(run.code == 0 && run.talk.contains("LoRA updates: 1"), "\(run)")
  }
}
