import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Merges of models that are one and whose files differ: in a copy of a tied weight, in the dtype.
@Suite struct TiedMergeTests {
  private static let embedding = noise(64, seed: 1)

  private func model(
    _ name: String, _ dtype: DType = .f32, embedding: [Double], hasHead: Bool, in folder: TemporaryFolder
  ) throws {
    var tensors = try [
      tensor("model.embed_tokens.weight", dtype, [8, 8], embedding), tensor("w", dtype, [2], [1, 2]),
    ]
    if hasHead { tensors.append(try tensor("lm_head.weight", dtype, [8, 8], embedding)) }
    try writeModel(tensors, to: folder("\(name).safetensors"))
  }

  @Test(arguments: ["average", "task-arithmetic", "dare-linear", "della", "ties"])
  func whatIsTiedStaysEqual(_ method: String) throws {
    let folder = TemporaryFolder()
    try model("base", embedding: Self.embedding, hasHead: true, in: folder)
    try model("a", embedding: noise(64, seed: 2), hasHead: false, in: folder)
    try model("b", embedding: noise(64, seed: 3), hasHead: true, in: folder)
    let merged = try tmpack(
      "merge", method, "--base", folder("base.safetensors"), "--expert", folder("a.safetensors"), "--expert",
      folder("b.safetensors"), "-o", folder("m.safetensors"))
    try #require(merged.code == 0, "\(merged.talk)")
    let result = try Checkpoint.open(folder("m.safetensors")).source
    let base = try Checkpoint.open(folder("base.safetensors")).source
    #expect(try bytes(of: result, "lm_head.weight") == bytes(of: result, "model.embed_tokens.weight"))
    #expect(try bytes(of: result, "lm_head.weight") != bytes(of: base, "lm_head.weight"))
  }

  /// Thresholds over the whole model count what is tied once, whether the file has a copy of it or not; and nothing is said to be left out.
  @Test func aCopyCountsOnce() throws {
    let folder = TemporaryFolder()
    for hasHead in [true, false] {
      try model("base\(hasHead)", embedding: Self.embedding, hasHead: hasHead, in: folder)
      try model("a\(hasHead)", embedding: noise(64, seed: 2), hasHead: hasHead, in: folder)
    }
    try model("b", embedding: noise(64, seed: 3), hasHead: false, in: folder)
    for hasHead in [true, false] {
      let merged = try tmpack(
        "merge", "ties", "--base", folder("base\(hasHead).safetensors"), "--expert",
        folder("a\(hasHead).safetensors"), "--expert", folder("b.safetensors"), "-o",
        folder("m\(hasHead).safetensors"), "--set", "density=0.02")
      try #require(merged.code == 0, "\(merged.talk)")
      #expect(!merged.talk.contains("left out"), "\(merged.talk)")
    }
    let (with, without) = (
      try Checkpoint.open(folder("mtrue.safetensors")).source, try Checkpoint.open(folder("mfalse.safetensors")).source
    )
    for name in ["model.embed_tokens.weight", "w"] {
      #expect(try bytes(of: with, name) == bytes(of: without, name))
    }
    #expect(try bytes(of: with, "lm_head.weight") == bytes(of: without, "model.embed_tokens.weight"))
  }

  /// A pattern that means one copy of a tied weight means all: what is equal in an expert is equal in what is unpacked.
  @Test(arguments: [["--exclude", "lm_head*"], ["--include", "model*"], ["--override", "lm_head*=rank:4"]])
  func aRuleForOneCopyIsForBoth(_ rule: [String]) throws {
    let folder = TemporaryFolder()
    try model("base", embedding: Self.embedding, hasHead: true, in: folder)
    try model("a", embedding: noise(64, seed: 2), hasHead: true, in: folder)
    let packed = try Child(
      toolPath,
      [
        "pack", "--base", folder("base.safetensors"), "--expert", "a=\(folder("a.safetensors"))", "--shared", "base",
        "--rank", "2",
        "-o", folder("x.tmpack"),
      ] + rule
    ).wait()
    try #require(packed.code == 0, "\(packed.talk)")
    for selection in [["--expert", "a"], ["--weights", "a=0.5"]] {
      let unpacked = try Child(
        toolPath, ["unpack", folder("x.tmpack"), "-o", folder("out.safetensors"), "--force"] + selection
      ).wait()
      try #require(unpacked.code == 0, "\(unpacked.talk)")
      let out = try Checkpoint.open(folder("out.safetensors")).source
      #expect(try bytes(of: out, "lm_head.weight") == bytes(of: out, "model.embed_tokens.weight"))
    }
  }

  @Test func anotherDTypeIsRounded() throws {
    let folder = TemporaryFolder()
    let own = noise(64, seed: 2)
    try model("base", .bf16, embedding: Self.embedding, hasHead: false, in: folder)
    try model("a", .f32, embedding: own, hasHead: false, in: folder)
    try model("same", .bf16, embedding: own, hasHead: false, in: folder)
    for expert in ["a", "same"] {
      let models = ["--base", folder("base.safetensors"), "--expert", "x=\(folder("\(expert).safetensors"))"]
      let merged = try Child(
        toolPath, ["merge", "average", "-o", folder("m-\(expert).safetensors")] + models
      ).wait()
      try #require(merged.code == 0, "\(merged.talk)")
      #expect(merged.talk.contains("is F32, and rounded to the base's BF16") == (expert == "a"), "\(merged.talk)")
      let packed = try Child(toolPath, ["pack", "--rank", "2", "-o", folder("\(expert).tmpack")] + models).wait()
      try #require(packed.code == 0, "\(packed.talk)")
      let proved = try tmpack(
        "verify", folder("\(expert).tmpack"), "--source", "x=\(folder("\(expert).safetensors"))")
      #expect(proved.code == 0, "\(proved.talk)")
    }
    #expect(try contents(folder("m-a.safetensors")) == contents(folder("m-same.safetensors")))
  }

  @Test func whatIsTooLargeForTheBaseIsRefused() throws {
    let folder = TemporaryFolder()
    try model("base", .f16, embedding: Self.embedding, hasHead: false, in: folder)
    try model("a", .f32, embedding: [1e30] + Self.embedding.dropFirst(), hasHead: false, in: folder)
    let merged = try tmpack(
      "merge", "average", "--base", folder("base.safetensors"), "--expert", folder("a.safetensors"), "-o",
      folder("m.safetensors"))
    #expect(merged.code == 1 && merged.talk.contains("too large for F16"), "\(merged.talk)")
  }
}
