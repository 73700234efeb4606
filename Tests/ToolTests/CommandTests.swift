import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

/// The commands on real checkpoints.
@Suite struct CommandTests {
  let folder = TemporaryFolder()

  @Test func losslessBringsBackEveryByte() throws {
    let archive = try zoo(in: folder, "--lossless")
    for (name, original) in [("a66", a66), ("b44", b44)] {
      #expect(try tmpack("compare", original, "\(archive)#\(name)", "--require-equal").code == 0)
      let out = folder("\(name).safetensors")
      #expect(try tmpack("unpack", archive, "--expert", name, "-o", out).code == 0)
      #expect(try contents(out) == contents(original))
    }
    #expect(try tmpack("verify", archive, "--deep", "--source", "a66=\(a66)", "--source", "b44=\(b44)").code == 0)
  }

  @Test func reportsTheErrorThatCompareFinds() throws {
    let archive = try zoo(in: folder, "--shared", "base")
    let experts = try tmpack("inspect", archive, "--json").json()["experts"]
    guard case .array(let list) = experts, case .object(let expert) = list[1], case .number(let error) = expert["error"]
    else { Issue.record("no error"); return }
    // Both are relative, to the difference and to the tensor.
    guard case .number(let whole) = try tmpack("compare", b44, "\(archive)#b44", "--json").json()["relative_error"],
      case .number(let distance) = try tmpack("compare", b44, base, "--json").json()["relative_error"]
    else { Issue.record("no error"); return }
    #expect(abs(error - whole / distance) < 1e-3)
  }

  @Test func aFolderAndAFileHoldTheSame() throws {
    let archive = try zoo(in: folder)
    let mix = "a66=0.25,b44=0.75"
    #expect(try tmpack("unpack", archive, "--weights", mix, "-o", folder("mix")).code == 0)
    #expect(try tmpack("unpack", archive, "--weights", mix, "-o", folder("mix.safetensors")).code == 0)
    #expect(try FileTree.names(in: folder("mix")) == ["model.safetensors"])
    #expect(try contents(folder("mix/model.safetensors")) == contents(folder("mix.safetensors")))
    #expect(try tmpack("compare", folder("mix"), "\(archive)#\(mix)", "--require-equal").code == 0)
    #expect(try tmpack("unpack", archive, "--shared", "--max-shard-size", "40kB", "-o", folder("shards")).code == 0)
    #expect(try FileTree.names(in: folder("shards")).contains("model.safetensors.index.json"))
    #expect(try tmpack("compare", folder("shards"), "\(archive)#", "--require-equal").code == 0)
  }

  @Test func sameInputsGiveTheSameArchive() throws {
    let first = try contents(zoo(in: folder, "--threads", "1"))
    #expect(try contents(zoo(in: folder, "--threads", "5", "--io", "read", "--force")) == first)
  }

  @Test func addAndRemove() throws {
    let archive = try zoo(in: folder)
    let before = try tmpack("inspect", archive, "--json").json()
    let added = try tmpack("add", archive, "--expert", "c07=\(c07)", "--json").json()
    #expect(added["bytes_before"] == before["bytes"])
    #expect(try names(added["experts"]) == ["c07"])
    #expect(try names(try tmpack("inspect", archive, "--json").json()["experts"]) == ["a66", "b44", "c07"])
    #expect(try tmpack("remove", archive, "a66", "c07").code == 0)
    #expect(try names(try tmpack("inspect", archive, "--json").json()["experts"]) == ["b44"])
    #expect(try tmpack("verify", archive, "--deep").code == 0)
  }

  // TMP-2-6: "A reader MUST read the active generation all the same and MUST say so".
  @Test func everyCommandTellsOfResidue() throws {
    let archive = try zoo(in: folder)
    let whole = try contents(archive)
    for arguments in [
      ["unpack", archive, "--shared", "-o", folder("out.safetensors")], ["inspect", archive],
      ["compare", a66, "\(archive)#a66"], ["strip", archive, "--exact", "-o", folder("stripped.tmpack")],
      ["remove", archive], ["compare", "\(archive)#a66", "\(folder("."))/zoo.tmpack#b44"],
      ["compare", a66, "\(archive)#a66", "--base", "\(archive)#"],
    ] {
      try put(whole + [1, 2, 3], at: archive)
      let run = try Child(toolPath, arguments).wait()
      #expect(run.code == 0, "\(arguments)")
      #expect(
        run.talk.hasPrefix("warning: \(archive), byte \(whole.count): ") && run.talk.contains("3 bytes follow"),
        "\(run.talk)")
      #expect(!run.talk.dropFirst().contains("warning"))
    }
    try put(whole + [1, 2, 3], at: archive)
    let run = try tmpack("verify", archive)
    #expect(run.code == 2 && run.talk.contains("3 bytes follow") && !run.talk.contains("warning"))
  }

  @Test func everySourceIsProvedByItself() throws {
    let archive = try zoo(in: folder)
    let run = try tmpack("verify", archive, "--source", "b44=\(c07)", "--source", "a66=\(a66)", "--json")
    #expect(run.code == 2)
    let report = try run.json()
    #expect(strings(report["proved_sources"]) == ["a66"])
    #expect(strings(report["usable_experts"]) == ["a66"])
    #expect(report["shared_usable"] == true)
  }

  @Test func detached() throws {
    let shared = folder("shared.safetensors")
    let archive = try zoo(in: folder, "--detached", "--shared-out", shared)
    let out = folder("a66.safetensors")
    let refused = try tmpack("unpack", archive, "--expert", "a66", "-o", out)
    #expect(refused.code == 1 && refused.talk.contains("--shared-from"))
    let wrong = try tmpack("unpack", archive, "--expert", "a66", "-o", out, "--shared-from", base, "--json")
    #expect(wrong.code == 1)
    #expect(try wrong.jsonError()["code"] == "base-mismatch")
    #expect(try wrong.jsonError()["tensor"] == "dense_1.bias")
    #expect(folder.names == ["shared.safetensors", "zoo.tmpack"])
    #expect(try tmpack("unpack", archive, "--expert", "a66", "-o", out, "--shared-from", shared).code == 0)
    #expect(try tmpack("compare", out, "\(archive)#a66", "--shared-from", shared, "--require-equal").code == 0)
    #expect(try tmpack("add", archive, "--expert", "c07=\(c07)", "--shared-from", shared).code == 0)
    for level in [[], ["--deep"]] {
      let verify = ["verify", archive, "--json"] + level
      #expect(try Child(toolPath, verify + ["--shared-from", shared]).wait().code == 0)
      // TMP-8-2: a model that is given is checked, whole.
      let wrong = try Child(toolPath, verify + ["--shared-from", base]).wait()
      #expect(wrong.code == 2)
      #expect(try wrong.json()["shared_usable"] == .bool(false))
      #expect(try wrong.json()["usable_experts"] == .array([]))
    }
    let embedded = folder("embedded")
    try FileTree.makeFolder(embedded)
    let other = try tmpack("pack", "--base", base, "--expert", a66, "-o", folder("embedded/z.tmpack"))
    #expect(other.code == 0)
    #expect(try tmpack("unpack", folder("embedded/z.tmpack"), "--shared", "-o", out, "--shared-from", base).code == 1)
  }

  // What cannot be written in the end is refused before anything is written.
  @Test func secondOutputsAreCheckedFirst() throws {
    let archive = try zoo(in: folder)
    let packing = ["pack", "--base", base, "--expert", "a66=\(a66)", "--detached", "--shared-out"]
    for (output, code) in [(archive, Int32(1)), (folder("zoo.tmpack/x.tmpack"), 4), (folder("shared.safetensors"), 1)] {
      let run = try Child(toolPath, packing + [folder("shared.safetensors"), "-o", output]).wait()
      #expect(run.code == code, "\(run.talk)")
      #expect(folder.names == ["zoo.tmpack"])
    }
    let unpacking = ["unpack", archive, "--expert", "a66", "-o"]
    for (receipt, code) in [
      ("zoo.tmpack/r.json", Int32(4)), ("zoo.tmpack", 1), ("out.safetensors/r", 1), ("out.safetensors", 1),
    ] {
      let run = try Child(toolPath, unpacking + [folder("out.safetensors"), "--receipt", folder(receipt)]).wait()
      #expect(run.code == code, "\(run.talk)")
      #expect(folder.names == ["zoo.tmpack"])
    }
    // It may lie in the folder that is made, also when that is made again.
    for force in [[], ["--force"]] {
      let run = try Child(toolPath, unpacking + [folder("out") + "/", "--receipt", folder("out/r.json")] + force).wait()
      #expect(run.code == 0, "\(run.talk)")
      #expect(try FileTree.names(in: folder("out")).sorted() == ["model.safetensors", "r.json"])
    }
  }

  @Test func uglyNames() throws {
    let path = folder("a b=c#d é🦊.tmpack")
    let name = "é 🦊'\"$x"
    #expect(try tmpack("pack", "--base", base, "--expert", "\(name)=\(a66)", "-o", path).code == 0)
    #expect(try names(try tmpack("inspect", path, "--json").json()["experts"]) == [name])
    #expect(try tmpack("compare", "\(path)#\(name)", "\(path)#\(name)=1", "--require-equal").code == 0)
  }

  /// Each shard is an open file, and the usual limit on these is no reason to fail.
  @Test func opensMoreShardsThanTheSoftLimitAllows() throws {
    for name in ["a", "b"] { #expect(try tmpack("convert", a66, folder(name), "--max-shard-size", "1").code == 0) }
    #expect(try FileTree.names(in: folder("a")).count == 8)
    let run = try tmpack(after: "ulimit -S -n 14", "compare", folder("a"), folder("b"), "--require-equal")
    #expect(run.code == 0, "\(run.talk)")
  }

  /// Two files may differ though no float does: that is no "relative error 0".
  @Test func compareSaysWhatHasNoError() throws {
    func write(_ name: String, _ dtype: String, _ bytes: [UInt8]) throws -> String {
      let header = #"{"t":{"dtype":"\#(dtype)","shape":[2],"data_offsets":[0,\#(bytes.count)]}}"#
      let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
      try put(length + Array(header.utf8) + bytes, at: folder(name))
      return folder(name)
    }
    let integers = try (write("a", "I8", [1, 2]), write("b", "I8", [1, 3]))
    let compared = try tmpack("compare", integers.0, integers.1)
    #expect(compared.output.hasSuffix("1 tensor in common: 1 not of floats and different\n"), "\(compared.output)")
    let floats = try (write("c", "F16", [0, 0, 0, 0]), write("d", "BF16", [0, 0, 0, 0]))
    let others = try tmpack("compare", floats.0, floats.1)
    #expect(others.output.hasSuffix(": relative error 0, 1 of different dtypes\n"), "\(others.output)")
  }

  @Test func namesWithoutOneAreThoseOfTheFiles() throws {
    try FileTree.makeFolder(folder("v1.5"))
    try put(try contents(a66), at: folder("v1.5/model.safetensors"))
    let run = try tmpack(
      "pack", "--base", base, "--expert", "\(folder("v1.5"))/", "--expert", b44, "-o", folder("x.tmpack"), "--json")
    #expect(try names(try run.json()["experts"]) == ["v1.5", "HLA-B4402_BA"])
  }

  @Test func filesOfTheFolderTravel() throws {
    try FileTree.makeFolder(folder("in"))
    try FileTree.makeFolder(folder("in/onnx"))
    try put(try contents(a66), at: folder("in/model.safetensors"))
    try put(Array("{}".utf8), at: folder("in/config.json"))
    try put([1, 2, 3], at: folder("in/onnx/extra.txt"))
    try put([4], at: folder("in/.hidden"))
    let packed = try tmpack("pack", "--base", base, "--expert", "a=\(folder("in"))", "-o", folder("x.tmpack"), "--json")
    guard case .array(let skipped) = try packed.json()["skipped_files"] else { Issue.record("no list"); return }
    #expect(try skipped.map { try object($0)["name"] } == [".hidden"])
    let unpacked = try tmpack("unpack", folder("x.tmpack"), "--expert", "a", "-o", folder("out"), "--json")
    #expect(strings(try unpacked.json()["files"]) == ["config.json", "onnx/extra.txt"])
    #expect(try contents(folder("out/onnx/extra.txt")) == [1, 2, 3])
    #expect(try FileTree.names(in: folder("out")) == ["config.json", "model.safetensors", "onnx"])
  }

  @Test func patternsThatMatchNothingAreNamed() throws {
    let path = folder("x.tmpack")
    let run = try tmpack(
      "pack", "--base", base, "--expert", a66, "-o", path, "--exclude", "zz*", "--exclude", "lstm*", "--json")
    #expect(strings(try run.json()["unused_patterns"]) == ["--exclude zz*"])
  }

  @Test func aPatternMayHaveAComma() throws {
    let run = try tmpack(
      "pack", "--base", base, "--expert", a66, "-o", folder("x.tmpack"), "--override", "a,b*=exact", "--json")
    #expect(run.code == 0, "\(run.talk)")
    #expect(strings(try run.json()["unused_patterns"]) == ["--override a,b*=exact"])
  }

  @Test func namesInFilesCannotSteerATerminal() throws {
    let header = #"{"\u001b[31m\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    let bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    try put(bytes + [0, 0, 0, 0], at: folder("odd"))
    try put(bytes + [0, 0, 0x80, 0x3F], at: folder("odd2"))
    let pack = try tmpack("pack", "--base", folder("odd"), "--expert", folder("odd2"), "-o", folder("x.tmpack"))
    let inspect = try tmpack("inspect", folder("x.tmpack"), "--tensors")
    let compare = try tmpack("compare", folder("odd"), a66)
    for run in [pack, inspect, compare] {
      #expect(run.code == 0)
      #expect(!(run.output + run.talk).utf8.contains(0x1B))
      #expect(run.output.contains("\\u{1B}[31m"))
    }
  }

  /// In JSON such characters have JSON's own escapes, in results and in errors.
  @Test func namesInFilesDoNotBreakTheJSON() throws {
    let name = "\u{7F}\u{9B}31m\u{1}é"
    func file(_ member: String) -> [UInt8] {
      let header = "{\"\u{7F}\u{9B}31m\\u0001é\":{\"dtype\":\"F32\",\"shape\":[1],\"\(member)\":[0,4]}}"
      return withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8) + [
        0, 0, 0, 0,
      ]
    }
    try put(file("data_offsets"), at: folder("odd"))
    try put(file("\u{7F}offsets"), at: folder("malformed"))
    let compared = try tmpack("compare", folder("odd"), folder("odd"), "--json")
    #expect(!compared.output.unicodeScalars.contains("\u{9B}"))
    guard case .array(let tensors) = try compared.json()["tensors"] else { Issue.record("no list"); return }
    #expect(try object(tensors[0])["name"] == .string(name))
    let refused = try tmpack("convert", folder("malformed"), folder("out"), "--json")
    #expect(refused.code == 2 && !refused.talk.unicodeScalars.contains("\u{9B}"))
    #expect(try refused.jsonError()["tensor"] == .string(name))
  }

  @Test func shortRunsOffATerminalAreSilent() throws {
    let archive = try zoo(in: folder)
    for run in [
      try tmpack("verify", archive, "--deep"), try tmpack("unpack", archive, "--shared", "-o", folder("out")),
      try tmpack("compare", a66, b44),
    ] {
      #expect(run.code == 0 && run.talk.isEmpty && !run.output.isEmpty)
    }
  }

  private func names(_ experts: JSONValue?) throws -> [String] {
    guard case .array(let list) = experts else { throw StorageError(.malformed, "no experts") }
    return strings(.array(try list.map { try object($0)["name"] ?? .null }))
  }
}
