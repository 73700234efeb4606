import TMPackCheckpoints
import TestSupport
import Testing

/// TMP-6-31: an expert that was packed under the base's names is unpacked under its own.
@Suite struct NamingTests {
  private let folder = TemporaryFolder()
  private let configuration = #"{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral"}"#

  /// Two experts of one layer, each by itself, as Mixtral's files have them, or in stacks, with the same numbers.
  private func model(_ name: String, stacked: Bool, scale: Double) throws -> String {
    let gate = noise(12, scale: scale, seed: 1)
    let up = noise(12, scale: scale, seed: 2)
    let down = noise(12, scale: scale, seed: 3)
    var tensors = [try tensor("model.norm.weight", .f32, [3], noise(3, seed: 4))]
    if stacked {
      let layer = "model.layers.0.mlp.experts."
      let both = Array(gate[..<6] + up[..<6] + gate[6...] + up[6...])
      tensors.append(try tensor(layer + "gate_up_proj", .f32, [2, 4, 3], both))
      tensors.append(try tensor(layer + "down_proj", .f32, [2, 3, 2], down))
    } else {
      for number in 0..<2 {
        let half = number * 6..<number * 6 + 6
        let layer = "model.layers.0.block_sparse_moe.experts.\(number)."
        tensors.append(try tensor(layer + "w1.weight", .f32, [2, 3], Array(gate[half])))
        tensors.append(try tensor(layer + "w3.weight", .f32, [2, 3], Array(up[half])))
        tensors.append(try tensor(layer + "w2.weight", .f32, [3, 2], Array(down[half])))
      }
    }
    try writeModel(tensors, files: [("config.json", Array(configuration.utf8))], to: folder(name))
    return folder(name)
  }

  @Test(arguments: [true, false]) func unpackGivesBackTheExpertsOwnNames(_ isStacked: Bool) throws {
    let base = try model("base", stacked: !isStacked, scale: 1)
    let expert = try model("expert", stacked: isStacked, scale: 2)
    let same = try model("same", stacked: isStacked, scale: 1)
    let packed = try tmpack(
      "pack", "--base", base, "--expert", "e=\(expert)", "--expert", "s=\(same)", "--shared", "base", "--lossless",
      "-o",
      folder("z.tmpack"))
    #expect(packed.code == 0, "\(packed.talk)")
    #expect(packed.talk.contains("than in the base; matched by the names of"), "\(packed.talk)")
    let inspected = try tmpack("inspect", folder("z.tmpack"), "--json").json()
    guard case .array(let experts)? = inspected["experts"] else { Issue.record("no experts"); return }
    #expect(try object(object(experts[1])["factors"]).members.isEmpty)

    #expect(try tmpack("unpack", folder("z.tmpack"), "--expert", "e", "-o", folder("own")).code == 0)
    #expect(try contents(folder("own/model.safetensors")) == contents(expert + "/model.safetensors"))
    let asBase = try tmpack("unpack", folder("z.tmpack"), "--expert", "s", "--naming", "base", "-o", folder("as-base"))
    #expect(asBase.code == 0, "\(asBase.talk)")
    #expect(try contents(folder("as-base/model.safetensors")) == contents(base + "/model.safetensors"))
    let inMemory = try tmpack(
      "unpack", folder("z.tmpack"), "--expert", "s", "--naming", "transformers-5", "-o", folder("in-memory"))
    #expect(inMemory.code == 0, "\(inMemory.talk)")
    let stacked = isStacked ? same : base
    #expect(try contents(folder("in-memory/model.safetensors")) == contents(stacked + "/model.safetensors"))
    #expect(try tmpack("verify", folder("z.tmpack"), "--source", "e=\(expert)").code == 0)
    #expect(try tmpack("compare", "\(folder("z.tmpack"))#e", expert, "--require-equal").code == 0)
  }

  @Test func convertAndMergeNameAsInMemory() throws {
    let base = try model("base", stacked: false, scale: 1)
    let stacked = try model("stacked", stacked: true, scale: 1)
    let converted = try tmpack("convert", base, folder("c"), "--naming", "transformers-5")
    #expect(converted.code == 0, "\(converted.talk)")
    #expect(try contents(folder("c/model.safetensors")) == contents(stacked + "/model.safetensors"))
    let merged = try tmpack("merge", "average", "--expert", "a=\(base)", "--expert", "b=\(stacked)", "-o", folder("m"))
    #expect(merged.code == 0, "\(merged.talk)")
    #expect(try contents(folder("m/model.safetensors")) == contents(base + "/model.safetensors"))
  }

  /// The text of an archive's metadata is no more to be trusted than the rest of it.
  @Test func namesThatAreNoneOfTheTensorsAreRefused() throws {
    let base = try model("base", stacked: true, scale: 1)
    let metadata = folder("strange.safetensors")
    let strange = try Checkpoint.open(base).source
    let tensors = try strange.tensors.map { SampleTensor($0, try strange.bytes(of: $0)) }
    try writeModel(tensors, metadata: ["tmpack.names": #"[["a","b"]]"#], to: metadata)
    // A checkpoint's own member of that name is not taken for one.
    #expect(
      try tmpack("pack", "--base", base, "--expert", "e=\(metadata)", "--shared", "base", "-o", folder("z.tmpack")).code
        == 0)
    let unpacked = try tmpack("unpack", folder("z.tmpack"), "--expert", "e", "-o", folder("e.safetensors"))
    #expect(unpacked.code == 0, "\(unpacked.talk)")
    #expect(try Checkpoint.open(folder("e.safetensors")).source.metadata["tmpack.names"] == nil)
  }
}
