import TMPackByteIO
import TMPackCheckpoints
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

  /// Codes that nothing but the configuration tells from numbers.
  @Test func aMethodThatIsNotKnownIsNeverMixed() throws {
    let folder = TemporaryFolder()
    let config = #"{"quantization_config": {"quant_method": "novel"}}"#
    for (name, shift) in [("base", 0.0), ("a", 1.0), ("b", 2.0)] {
      try writeModel(
        [
          tensor("m.s_channel", .f32, [4], [1, 2, 3, 4 + shift]),
          tensor("m.B", .i32, [2], bytes: lanes([Int32(shift), 1])),
        ],
        files: [("config.json", Array(config.utf8))], to: folder(name))
    }
    let experts = ["--base", folder("base"), "--expert", "a=\(folder("a"))", "--expert", "b=\(folder("b"))"]
    let zoo = folder("zoo.tmpack")
    let packed = try tmpack(["pack", "--lossless", "-o", zoo] + experts)
    #expect(packed.code == 0 && packed.talk.contains("the shared model is the base"), "\(packed)")
    let merged = try tmpack(["pack", "--lossless", "--shared", "average", "-o", folder("merged.tmpack")] + experts)
    #expect(merged.code == 3 && merged.talk.contains("novel"), "\(merged)")
    #expect(try tmpack("unpack", zoo, "--expert", "a", "-o", folder("again")).code == 0)
    for options in [["--weights", "a=0.5"], ["--weights", "a=1,b=1"], ["--expert", "a", "--dtype", "bf16"]] {
      let run = try tmpack(["unpack", zoo, "-o", folder("mix")] + options)
      #expect(run.code == 3 && run.talk.contains("novel"), "\(options): \(run)")
    }
  }

  /// To the bit, codes and numbers are two models: an expert's codes are kept as they are, a base's are nothing to differ from.
  @Test func codesOfTheBaseAloneAreRefusedByName() throws {
    let folder = TemporaryFolder()
    func numbers(_ seed: UInt64) throws -> SampleTensor {
      try tensor("m.weight", .bf16, [4, 16], noise(64, seed: seed))
    }
    try writeModel([numbers(1)], to: folder("plain.safetensors"))
    try writeModel(
      [
        tensor("m.SCB", .f32, [4], [1, 2, 3, 4]),
        tensor("m.weight", .i8, [4, 16], bytes: [UInt8](repeating: 7, count: 64)),
      ], to: folder("coded.safetensors"))
    func pack(_ base: String, _ expert: String) throws -> Run {
      try tmpack(
        "pack", "--lossless", "--shared", "base", "--base", folder("\(base).safetensors"), "--expert",
        "x=\(folder("\(expert).safetensors"))", "-o", folder("zoo.tmpack"))
    }
    let refused = try pack("coded", "plain")
    #expect(refused.code == 3 && refused.talk.contains("as codes") && refused.talk.contains("m.weight"), "\(refused)")
    #expect(try pack("plain", "coded").code == 0)
    #expect(try tmpack("unpack", folder("zoo.tmpack"), "--expert", "x", "-o", folder("again.safetensors")).code == 0)
    #expect(try tmpack("compare", folder("coded.safetensors"), folder("again.safetensors")).code == 0)
    let (own, again) = (
      try Checkpoint.open(folder("coded.safetensors")).source, try Checkpoint.open(folder("again.safetensors")).source
    )
    for name in ["m.SCB", "m.weight"] { #expect(try bytes(of: own, name) == bytes(of: again, name)) }
  }

  /// What is not decoded is unsupported, and not corrupt, whatever shapes it has.
  @Test(arguments: [("awq", #", "version": "gemv_fast""#, "gemv_fast"), ("novel", "", "novel")])
  func otherMethodsThatUseKnownNamesAreRefusedByName(_ method: String, _ more: String, _ named: String) throws {
    let folder = TemporaryFolder()
    let config = #"{"quantization_config": {"quant_method": "\#(method)", "bits": 4, "group_size": 8\#(more)}}"#
    try writeModel(
      [
        tensor("m.qweight", .i16, [2, 8], bytes: [UInt8](repeating: 1, count: 32)),
        tensor("m.scales", .f16, [1, 8], noise(8, seed: 1)), tensor("m.qzeros", .f16, [1, 8], noise(8, seed: 2)),
      ], files: [("config.json", Array(config.utf8))], to: folder("model"))
    let run = try tmpack("convert", folder("model"), folder("out"), "--dtype", "f32")
    #expect(run.code == 3 && run.talk.contains(named), "\(run)")
  }

  @Test func smallAndComplexFloatsAreMixedAsNumbers() throws {
    let folder = TemporaryFolder()
    func model(_ name: String, _ codes: [UInt8], _ parts: [Float], _ more: [SampleTensor] = []) throws {
      try writeModel(
        [
          tensor("f.weight", .f8e4m3, [4], bytes: codes),
          tensor("c.weight", .c64, [2], bytes: lanes(parts.map(\.bitPattern))),
        ] + more, to: folder(name))
    }
    // 1, 2, −4, 448 and 2, 4, −4, 448; what the base lacks stays what it is.
    try model("base.safetensors", [0x38, 0x40, 0xC8, 0x7E], [1, 2, 3, 4])
    try model(
      "a.safetensors", [0x40, 0x48, 0xC8, 0x7E], [3, 2, 1, 0], [tensor("own", .f8e5m2, [2], bytes: [0x3C, 0x40])])
    let packed = try tmpack(
      "pack", "--lossless", "--shared", "base", "--base", folder("base.safetensors"), "--expert",
      "a=\(folder("a.safetensors"))", "-o", folder("zoo.tmpack"))
    try #require(packed.code == 0, "\(packed.talk)")
    let run = try tmpack("unpack", folder("zoo.tmpack"), "--weights", "a=0.5", "-o", folder("mix.safetensors"))
    try #require(run.code == 0, "\(run.talk)")
    let source = try Checkpoint.open(folder("mix.safetensors")).source
    #expect(source.tensors.map(\.dtype) == [.c64, .f8e4m3, .f8e5m2])
    // 1.5, 3, −4, 448
    #expect(try bytes(of: source, "f.weight") == [0x3C, 0x44, 0xC8, 0x7E])
    #expect(try bytes(of: source, "c.weight") == lanes([2, 2, 2, 2].map { Float($0).bitPattern }))
    #expect(try bytes(of: source, "own") == [0x3C, 0x40])
  }

  /// F8 without scales and complex numbers are numbers as any others.
  @Test func smallAndComplexFloatsAreMergedAsNumbers() throws {
    let folder = TemporaryFolder()
    func model(_ name: String, _ codes: [UInt8], _ parts: [Float]) throws {
      try writeModel(
        [
          tensor("f.weight", .f8e4m3, [4], bytes: codes),
          tensor("c.weight", .c64, [2], bytes: lanes(parts.map(\.bitPattern))),
        ], to: folder(name))
    }
    // 1, 2, −4, 448 and 2, 4, −4, 448
    try model("a.safetensors", [0x38, 0x40, 0xC8, 0x7E], [1, 2, 3, 4])
    try model("b.safetensors", [0x40, 0x48, 0xC8, 0x7E], [3, 2, 1, 0])
    let experts = ["--expert", folder("a.safetensors"), "--expert", folder("b.safetensors")]
    let out = folder("out.safetensors")
    let merged = try Child(toolPath, ["merge", "average"] + experts + ["-o", out]).wait()
    #expect(merged.code == 0, "\(merged.talk)")
    let source = try Checkpoint.open(out).source
    let (f, c) = (source.tensors[1], source.tensors[0])
    #expect(f.dtype == .f8e4m3 && c.dtype == .c64 && c.shape.dimensions == [2])
    // 1.5, 3, −4, 448
    #expect(try source.bytes(of: f).withBytes { [UInt8]($0) } == [0x3C, 0x44, 0xC8, 0x7E])
    #expect(try source.bytes(of: c).withBytes { [UInt8]($0) } == lanes([2, 2, 2, 2].map { Float($0).bitPattern }))
    let wide = try Child(
      toolPath, ["merge", "average"] + experts + ["-o", folder("wide.safetensors"), "--dtype", "f32"]
    ).wait()
    #expect(wide.code == 0, "\(wide.talk)")
    let floats = try Checkpoint.open(folder("wide.safetensors")).source
    let widened = try #require(floats.tensor(named: "f.weight"))
    let bits = try floats.bytes(of: widened).withBytes { [UInt8]($0) }
    #expect(bits == lanes([1.5, 3, -4, 448].map { Float($0).bitPattern }))
    // 1 + 900 is too large.
    let large = try Child(
      toolPath,
      ["merge", "task-arithmetic", "--base", folder("a.safetensors"), "--expert", folder("b.safetensors")]
        + ["--lambda", "900", "-o", folder("large.safetensors")]
    ).wait()
    #expect(large.code == 1 && large.talk.contains("f.weight"), "\(large)")
  }

  @Test func floatsThatCannotBeMergedMustBeTheSame() throws {
    let folder = TemporaryFolder()
    for (name, last) in [("a", UInt8(1)), ("b", 1), ("c", 2)] {
      try writeModel(
        [tensor("w.weight", .f32, [2], [1, 2]), tensor("e.weight", .f8e8m0, [2], bytes: [1, last])],
        to: folder("\(name).safetensors"))
    }
    func merge(_ other: String) throws -> Run {
      try tmpack(
        "merge", "average", "--expert", folder("a.safetensors"), "--expert", folder("\(other).safetensors"), "-o",
        folder("out.safetensors"), "--force")
    }
    #expect(try merge("b").code == 0)
    let refused = try merge("c")
    #expect(refused.code == 3 && refused.talk.contains("e.weight"), "\(refused)")
  }

  /// Packed with loss, a quantised model is one of numbers; what was quantised can be compared with it.
  @Test func quantizedModelsArePackedAsNumbers() throws {
    let folder = TemporaryFolder()
    func fixture(_ name: String) -> String { "\(packageRoot)/Fixtures/foreign/quantized/\(name)" }
    let (base, zoo, out) = (fixture("gptq-4"), folder("zoo.tmpack"), folder("out"))
    let packed = try tmpack(
      "pack", "--base", base, "--expert", "v2=\(fixture("gptq-4-v2"))", "--rank", "40", "--factor-dtype", "f32", "-o",
      zoo)
    #expect(packed.code == 0 && packed.talk.contains("GPTQ"), "\(packed)")
    #expect(try tmpack("unpack", zoo, "--expert", "v2", "-o", out).code == 0)
    let config = String(decoding: try contents(FileTree.join(out, "config.json")), as: UTF8.self)
    #expect(!config.contains("quantization_config"))
    let compared = try tmpack("compare", fixture("gptq-4-v2"), out, "--json")
    switch try compared.json()["relative_error"] {
    case .number(let error): #expect(error < 1e-3)
    case let other: #expect(other == .integer(0), "\(compared)")
    }
    #expect(try tmpack("verify", zoo, "--source", "v2=\(fixture("gptq-4-v2"))").code == 0)
    let half = try tmpack("unpack", zoo, "--weights", "v2=0.5", "-o", folder("half"))
    #expect(half.code == 0, "\(half)")
  }
}
