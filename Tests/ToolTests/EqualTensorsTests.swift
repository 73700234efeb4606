import TMPackCheckpoints
import TestSupport
import Testing

/// A tensor that all models have alike is nobody's business, whatever its numbers: a mask of −∞, a buffer of NaN.
@Suite struct EqualTensorsTests {
  private func models(in folder: TemporaryFolder) throws -> [String] {
    for (index, name) in ["base", "a", "b"].enumerated() {
      try writeModel(
        [
          tensor("mask", .f32, [2, 2], [0, -.infinity, .nan, 0]),
          tensor("w", .f32, [8, 8], noise(64, seed: UInt64(index + 1))),
        ], to: folder("\(name).safetensors"))
    }
    return [
      "--base", folder("base.safetensors"), "--expert", folder("a.safetensors"), "--expert", folder("b.safetensors"),
    ]
  }

  @Test(arguments: [
    [], ["--shared", "base"], ["--quality", "medium"], ["--exact", "--quality", "medium"], ["--signs"],
    ["--shared", "base", "--tall-masks", "0.4"], ["--error", "0.5"],
  ]) func anyPackingKeepsThem(_ options: [String]) throws {
    let folder = TemporaryFolder()
    let models = try models(in: folder)
    let packed = try Child(toolPath, ["pack", "-o", folder("p.tmpack")] + models + options).wait()
    try #require(packed.code == 0, "\(packed.talk)")
    let unpacked = try tmpack("unpack", folder("p.tmpack"), "--expert", "a", "-o", folder("o.safetensors"))
    try #require(unpacked.code == 0, "\(unpacked.talk)")
    let compared = try tmpack(
      "compare", folder("a.safetensors"), folder("o.safetensors"), "--tensors", "mask", "--json")
    #expect(compared.code == 0 && compared.output.contains("\"equal\""), "\(compared.talk)")
    // Which TALL masks cannot be.
    if options.contains("--tall-masks") { return }
    let planned = try Child(toolPath, ["plan"] + models + options).wait()
    #expect(planned.code == 0 && !planned.talk.contains("would refuse"), "\(planned.talk)")
  }

  @Test(arguments: ["average", "task-arithmetic", "slerp", "multislerp", "karcher", "ties"])
  func anyMergeKeepsThem(_ method: String) throws {
    let folder = TemporaryFolder()
    let merged = try Child(
      toolPath, ["merge", method, "-o", folder("m.safetensors")] + models(in: folder)
    ).wait()
    try #require(merged.code == 0, "\(merged.talk)")
    let own = try Checkpoint.open(folder("a.safetensors")).source
    let result = try Checkpoint.open(folder("m.safetensors")).source
    #expect(try bytes(of: result, "mask") == bytes(of: own, "mask"))
  }

  @Test func whatDiffersIsStillRefused() throws {
    let folder = TemporaryFolder()
    _ = try models(in: folder)
    try writeModel(
      [tensor("mask", .f32, [2, 2], [0, -.infinity, 1, 0]), tensor("w", .f32, [8, 8], noise(64, seed: 2))],
      to: folder("a.safetensors"))
    let packed = try tmpack(
      "pack", "--base", folder("base.safetensors"), "--expert", folder("a.safetensors"), "-o", folder("p.tmpack"))
    #expect(packed.code == 1 && packed.talk.contains("'mask'"), "\(packed.talk)")
  }
}
