import TMPackByteIO
import TestSupport
import Testing

/// Every family of errors, with its exit code, code and place in JSON on standard error, and nothing on standard output.
@Suite struct ExitCodeTests {
  let folder = TemporaryFolder()

  private func expect(
    _ run: Run, _ exit: Int32, _ code: String, file: String? = nil, _ location: SourceLocation = #_sourceLocation
  ) throws {
    #expect(run.code == exit, "\(run.talk)", sourceLocation: location)
    #expect(run.output.isEmpty, sourceLocation: location)
    let error = try run.jsonError()
    #expect(error["code"] == .string(code), sourceLocation: location)
    #expect(error["exit"] == .integer(Int64(exit)), sourceLocation: location)
    #expect(error["file"] == file.map { .string($0) }, sourceLocation: location)
  }

  // MARK: 1, usage

  @Test(arguments: [
    [], ["--nonsense"], ["--base", base], ["--base", base, "--expert", "a=\(a66)"],
    ["--expert", "a=\(a66)", "-o", "x"],
    ["--base", base, "--expert", "a=", "-o", "x"], ["--base", base, "--expert", "a=\(a66)", "-o", ""],
    ["--base", base, "--expert", "a=\(a66)", "-o", "x", "--rank", "3", "--lossless"],
    ["--base", base, "--expert", "a=\(a66)", "-o", "x", "--threads", "0"],
    ["--base", base, "--expert", "a=\(a66)", "-o", "x", "--level", "20"],
    ["--base", base, "--expert", "a=\(a66)", "-o", "x", "--lambda", "nan"],
  ])
  func usageOfPack(_ arguments: [String]) throws {
    try expect(try Child(toolPath, ["pack", "--json"] + arguments).wait(), 1, "invalid-argument")
    let plain = try Child(toolPath, ["pack"] + arguments).wait()
    #expect(plain.code == 1 && plain.talk.contains("--help") && plain.output.isEmpty)
  }

  @Test(arguments: [
    "--rank=0", "--rank=-1", "--rank-ratio=1.5", "--density=0", "--override=x", "--override=*=rank:x", "--include=[",
    // Parts that contradict each other.
    "--override=*=signs,rank:4", "--override=*=rank:4,rank:8", "--override=*=dtype:f16,dtype:bf16",
    "--override=*=exact,dtype:f16", "--override=*=rank:4,exact",
  ])
  func numbersAndPatterns(_ option: String) throws {
    let run = try tmpack("pack", "--base", base, "--expert", "a=\(a66)", "-o", folder("x.tmpack"), option, "--json")
    try expect(run, 1, "invalid-argument")
    #expect(folder.names.isEmpty)
  }

  @Test(arguments: ["a/b", "a\\b", "a,b", "a#b", "..", "a\nb"]) func namesOfExperts(_ name: String) throws {
    let run = try tmpack("pack", "--base", base, "--expert", "\(name)=\(a66)", "-o", folder("x.tmpack"), "--json")
    try expect(run, 1, "invalid-argument")
  }

  @Test func selections() throws {
    let archive = try zoo(in: folder)
    let out = folder("out")
    try expect(try tmpack("unpack", archive, "-o", out, "--json"), 1, "invalid-argument")
    try expect(try tmpack("unpack", archive, "--shared", "--expert", "a66", "-o", out, "--json"), 1, "invalid-argument")
    try expect(try tmpack("unpack", archive, "--expert", "no", "-o", out, "--json"), 1, "unknown-name", file: archive)
    for weights in ["a66", "a66=x", "a66=inf", "a66=1,a66=1", ""] {
      try expect(try tmpack("unpack", archive, "--weights", weights, "-o", out, "--json"), 1, "invalid-argument")
    }
    try expect(
      try tmpack("unpack", archive, "--expert", "a66", "--tensors", "zz", "-o", out, "--json"), 1, "invalid-argument",
      file: archive)
    try expect(try tmpack("compare", a66, b44, "--tensors", "zz", "--json"), 1, "invalid-argument")
    try expect(try tmpack("remove", archive, "no", "--json"), 1, "unknown-name", file: archive)
    try expect(try tmpack("add", archive, "--expert", "a66=\(c07)", "--json"), 1, "invalid-argument", file: archive)
    for twice in [["--expert", "a66", "--expert", "b44"], ["--weights", "a66=1", "--weights", "b44=1"]] {
      let run = try Child(toolPath, ["unpack", archive, "-o", out, "--json"] + twice).wait()
      try expect(run, 1, "invalid-argument")
    }
    #expect(folder.names == ["zoo.tmpack"])
  }

  @Test func anotherArchitecture() throws {
    let header = #"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    let bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    try put(bytes + [0, 0, 0, 0], at: folder("other"))
    let run = try tmpack(
      "pack", "--base", base, "--expert", "a=\(folder("other"))", "-o", folder("x.tmpack"), "--json")
    try expect(run, 1, "shape-mismatch", file: folder("other"))
    #expect(try run.jsonError()["expert"] == "a")
    #expect(folder.names == ["other"])
  }

  @Test func anotherDType() throws {
    let half = folder("half.safetensors")
    try #require(try tmpack("convert", b44, half, "--dtype", "bf16").code == 0)
    // What is to be exact is not rounded to the base's dtype.
    let run = try tmpack(
      "pack", "--lossless", "--base", base, "--expert", "h=\(half)", "-o", folder("x.tmpack"), "--json")
    try expect(run, 1, "shape-mismatch", file: half)
    guard case .string(let message) = try run.jsonError()["message"] else { Issue.record("no message"); return }
    #expect(message.contains("BF16") && message.contains("convert --dtype"))
    #expect(folder.names == ["half.safetensors"])
  }

  // MARK: 2, corrupt or malformed

  @Test func truncatedArchive() throws {
    let archive = try zoo(in: folder)
    try put(try contents(archive).dropLast(1000), at: archive)
    for command in ["inspect", "verify"] {
      try expect(try tmpack(command, archive, "--json"), 2, "truncated", file: archive)
    }
  }

  @Test func anotherFormat() throws {
    try expect(try tmpack("verify", base, "--json"), 2, "unknown-format", file: base)
    try put(Array("no model".utf8), at: folder("text"))
    let run = try tmpack("pack", "--base", folder("text"), "--expert", "a=\(a66)", "-o", folder("x.tmpack"), "--json")
    try expect(run, 2, "unknown-format", file: folder("text"))
  }

  @Test func truncatedCheckpoint() throws {
    try put(try contents(a66).dropLast(1), at: folder("short"))
    let run = try tmpack("pack", "--base", base, "--expert", folder("short"), "-o", folder("x.tmpack"), "--json")
    try expect(run, 2, "truncated", file: folder("short"))
    #expect(folder.names == ["short"])
  }

  @Test func damageThatOnlyVerifyLooksFor() throws {
    let archive = try zoo(in: folder)
    var bytes = try contents(archive)
    bytes[20_000] ^= 1
    try put(bytes, at: archive)
    let run = try tmpack("verify", archive, "--json")
    #expect(run.code == 2)
    #expect(try run.json()["sound"] == false)
    let plain = try tmpack("verify", archive)
    #expect(plain.code == 2 && plain.output.contains("fault") && plain.talk.contains("is damaged"))
    // A line for the frame, not one for each of its tensors.
    #expect(plain.talk.split(separator: "\n").count == 1)
  }

  @Test func differenceWhereNoneIsAllowed() throws {
    let run = try tmpack("compare", a66, b44, "--require-equal")
    #expect(run.code == 2 && run.talk.isEmpty)
    #expect(try tmpack("compare", a66, b44).code == 0)
    #expect(try tmpack("compare", a66, a66, "--require-equal").code == 0)
  }

  // MARK: 3, 4, 5

  @Test func futureVersion() throws {
    let archive = try zoo(in: folder)
    try patchHeader(archive, at: 8, UInt16(2))
    try expect(try tmpack("inspect", archive, "--json"), 3, "unsupported-version", file: archive)
  }

  @Test func missingFiles() throws {
    let missing = folder("missing")
    try expect(try tmpack("inspect", missing, "--json"), 4, "not-found", file: missing)
    try expect(try tmpack("compare", missing, a66, "--json"), 4, "not-found", file: missing)
    try expect(try tmpack("compare", "\(missing)#a", a66, "--json"), 4, "not-found", file: missing)
    let out = folder("file/x.tmpack")
    try put([1], at: folder("file"))
    try expect(
      try tmpack("pack", "--base", base, "--expert", "a=\(a66)", "-o", out, "--json"), 4, "not-found", file: out)
  }

  /// The folder of an output is made; not where nothing comes into it.
  @Test func missingFoldersOfOutputs() throws {
    let out = folder("no/such/x.tmpack")
    let refused = try tmpack("pack", "--base", folder("none"), "--expert", "a=\(a66)", "-o", out, "--json")
    try expect(refused, 4, "not-found", file: folder("none"))
    try put(Array("no model".utf8), at: folder("text"))
    #expect(try tmpack("merge", "ties", "--base", base, "--expert", folder("text"), "-o", folder("a/b/c")).code == 2)
    #expect(folder.names == ["text"])
    #expect(try tmpack("pack", "--base", base, "--expert", "a=\(a66)", "-o", out).code == 0)
    #expect(try tmpack("unpack", out, "--expert", "a", "-o", folder("other/x")).code == 0)
    #expect(folder.names == ["no", "other", "text"])
  }

  @Test func namesOfDTypes() throws {
    for (name, dtype) in [("bfloat16", "BF16"), ("fp16", "F16"), ("float16", "F16"), ("torch.float32", "F32")] {
      let path = folder("\(name).safetensors")
      #expect(try tmpack("convert", a66, path, "--dtype", name).code == 0)
      let dtypes = try object(tmpack("inspect", path, "--json").json()["dtypes"])
      #expect(dtypes.names == [dtype])
      let archive = folder("zoo.tmpack")
      if FileTree.kind(of: archive) == nil { _ = try zoo(in: folder) }
      let unpacked = folder("u-\(name).safetensors")
      #expect(try tmpack("unpack", archive, "--expert", "a66", "--dtype", name, "-o", unpacked).code == 0)
    }
  }

  @Test func otherNamesOfCommands() throws {
    let archive = try zoo(in: folder)
    let inspected = try tmpack("inspect", archive)
    for name in ["ls", "info"] {
      let run = try tmpack(name, archive)
      #expect(run.code == 0 && run.output == inspected.output)
    }
    #expect(try tmpack("version").output == tmpack("--version").output)
    for shell in ["bash", "zsh", "fish"] {
      let run = try tmpack("completions", shell)
      #expect(run.code == 0 && run.output.contains("unpack"))
    }
    let top = try tmpack("inspect", archive, "--expert", "a66", "--sort", "error", "--top", "2")
    #expect(top.code == 0, "\(top.talk)")
    let all = try tmpack("inspect", archive, "--expert", "a66").output.split(separator: "\n").count
    #expect(top.output.split(separator: "\n").count < all)
  }

  /// A wrong source is one fault.
  @Test func anotherSource() throws {
    let archive = try zoo(in: folder)
    let run = try tmpack("verify", archive, "--source", "a66=\(b44)")
    #expect(run.code == 2 && run.talk.contains("is not what 'a66' was packed from"), "\(run.talk)")
    #expect(run.output.contains("1 fault"))
  }

  @Test func limit() throws {
    let archive = try zoo(in: folder)
    try patchHeader(archive, at: 48, UInt64(1) << 40)  // TMP-9-1
    try expect(try tmpack("inspect", archive, "--json"), 5, "limit-exceeded", file: archive)
  }

  @Test func standardOutputThatTakesNothing() throws {
    let archive = try zoo(in: folder)
    #expect(try tmpack(after: "exec >&-", "inspect", archive).code == 4)
    // What is meant for people must not end up in the archive.
    #expect(try tmpack(after: "exec >&- 2>&-", "add", archive, "--expert", "c07=\(c07)").code == 6)
    #expect(try tmpack("verify", archive, "--deep").code == 0)
  }
}
