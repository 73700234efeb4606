import ByteIO
import TMPack
import TestSupport
import Testing

/// Weights that are kept as codes of a scheme that nothing here decodes.
@Suite struct QuantizedCommandTests {
  /// Two HQQ models with a scale, and a plain tensor that differs.
  private func models(in folder: TemporaryFolder) throws -> (base: String, expert: String) {
    for (name, shift) in [("base", 0.0), ("math", 0.5)] {
      try writeModel(
        [
          tensor("m.W_q", .u8, [4, 4], bytes: (0..<16).map { UInt8($0) &+ UInt8(shift * 4) }),
          tensor("m.scale", .f16, [4, 1], [1, 2, 3, 4].map { $0 + shift }),
          tensor("norm.weight", .f32, [4], [1, 1, 1, 1 + shift]),
        ], to: folder("\(name).safetensors"))
    }
    return (folder("base.safetensors"), folder("math.safetensors"))
  }

  private func expectRefusal(_ run: Run, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(run.code == 3, "\(run)", sourceLocation: sourceLocation)
    #expect(run.talk.contains("HQQ") && run.talk.contains("m.W_q"), "\(run.talk)", sourceLocation: sourceLocation)
  }

  @Test func codesAreNeverMergedConvertedOrApproximated() throws {
    let folder = TemporaryFolder()
    let (base, expert) = try models(in: folder)
    let out = folder("out.safetensors")
    expectRefusal(try tmpack("merge", "average", "--base", base, "--expert", "math=\(expert)", "-o", out))
    expectRefusal(try tmpack("convert", base, out, "--dtype", "f32"))
    expectRefusal(try tmpack("pack", "--base", base, "--expert", "math=\(expert)", "-o", out))
    expectRefusal(
      try tmpack("pack", "--base", base, "--expert", "math=\(expert)", "--lossless", "--shared", "average", "-o", out))
    expectRefusal(try tmpack("plan", "--base", base, "--expert", "math=\(expert)"))
    #expect(!folder.names.contains("out.safetensors"))
  }

  @Test func codesArePackedExactlyAndNeverMixed() throws {
    let folder = TemporaryFolder()
    let (base, expert) = try models(in: folder)
    let (zoo, out) = (folder("zoo.tmpack"), folder("out.safetensors"))
    let packed = try tmpack("pack", "--base", base, "--expert", "math=\(expert)", "--lossless", "-o", zoo)
    #expect(packed.code == 0 && packed.talk.contains("the shared model is the base"), "\(packed)")
    #expect(try tmpack("unpack", zoo, "--expert", "math", "-o", out).code == 0)
    #expect(try tmpack("compare", out, expert, "--require-equal").code == 0)
    #expect(try tmpack("unpack", zoo, "--shared", "-o", folder("shared.safetensors")).code == 0)
    expectRefusal(try tmpack("unpack", zoo, "--weights", "math=0.5", "-o", folder("half.safetensors")))
    expectRefusal(try tmpack("unpack", zoo, "--expert", "math", "--dtype", "f32", "-o", folder("f32.safetensors")))
    expectRefusal(try tmpack("export", "--peft", "\(zoo)#math", "-o", folder("adapter")))
    #expect(
      folder.names.sorted() == [
        "base.safetensors", "math.safetensors", "out.safetensors", "shared.safetensors", "zoo.tmpack",
      ])
  }

  @Test func aMethodThatIsNotKnownIsRefusedByName() throws {
    let folder = TemporaryFolder()
    let plain = try [tensor("w.weight", .f32, [4], [1, 2, 3, 4])]
    let config = #"{"quantization_config": {"quant_method": "novel"}}"#
    try writeModel(plain, files: [("config.json", Array(config.utf8))], to: folder("model"))
    let run = try tmpack("merge", "average", "--expert", folder("model"), "-o", folder("out"))
    #expect(run.code == 3 && run.talk.contains("novel"), "\(run)")
  }
}
