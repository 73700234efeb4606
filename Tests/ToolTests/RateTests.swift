import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Budgets, errors, corrections and conversions, on real checkpoints.
@Suite struct RateTests {
  let folder = TemporaryFolder()

  private func experts(_ archive: String) throws -> [JSONObject] {
    guard case .array(let list) = try tmpack("inspect", archive, "--json").json()["experts"] else { return [] }
    return try list.map { try object($0) }
  }

  private func integer(_ value: JSONValue?) throws -> Int64 {
    guard case .integer(let number) = value else { throw StorageError(.malformed, "no integer") }
    return number
  }

  // Below 2 kB single symbols are more than 3 % of these small models; above 45 kB the finest factors take less.
  @Test(arguments: [3_000, 10_000, 20_000, 40_000] as [Int64]) func budgetPerExpert(_ budget: Int64) throws {
    for expert in try experts(zoo(in: folder, "--budget-per-expert", "\(budget)")) {
      let bytes = try integer(expert["bytes"])
      #expect(bytes <= budget && bytes * 100 >= budget * 97, "\(bytes) for \(budget)")
    }
  }

  @Test func aBudgetAboveTheFinestFactorsIsNotUsedUp() throws {
    for expert in try experts(zoo(in: folder, "--budget-per-expert", "200kB")) {
      #expect(try integer(expert["bytes"]) < 60_000)
    }
  }

  @Test(arguments: ["--budget-per-expert=100B", "--budget=50kB", "--error=0.00001", "--error=0", "--error=1"])
  func whatCannotBeMetIsRefused(_ option: String) throws {
    let run = try tmpack("pack", "--base", base, "--expert", a66, "-o", folder("x.tmpack"), option, "--json")
    #expect(run.code == 1)
    #expect(try run.jsonError()["code"] == "invalid-argument")
    #expect(folder.names.isEmpty)
  }

  @Test func budgetOfTheArchive() throws {
    let size = try contents(zoo(in: folder, "--budget", "120kB")).count
    #expect(size <= 120_000 && size >= 116_400, "\(size)")
  }

  @Test(arguments: ["0.5", "0.45", "0.3", "0.1", "0.05"], ["low-rank", "entrywise", "layered"])
  func error(_ target: String, _ codec: String) throws {
    let limit = try #require(Double(target))
    for expert in try experts(zoo(in: folder, "--error", target, "--codec", codec)) {
      guard case .number(let error) = expert["error"] else { Issue.record("no error"); continue }
      #expect(error <= limit && error > limit * 0.98, "\(error) for \(limit)")
    }
  }

  /// Where the form of one tensor decides whether the error is above the target or far below it, steps alone make up for it.
  @Test(
    arguments: [
      ("balanced", "0.08"), ("balanced", "0.13"), ("balanced", "0.16"), ("balanced", "0.85"), ("least-error", "0.35"),
      ("least-error", "0.4"), ("least-error", "0.9"),
    ], [a66, fixture("HLA-B2720_BA")])
  func errorWhereFormsJump(_ setting: (objective: String, target: String), _ expert: String) throws {
    let path = folder("x.tmpack")
    let run = try tmpack(
      "pack", "--base", base, "--expert", "x=\(expert)", "--shared", "base", "--objective", setting.objective,
      "--error", setting.target, "-o", path)
    #expect(run.code == 0)
    let limit = try #require(Double(setting.target))
    guard case .number(let error) = try experts(path)[0]["error"] else { Issue.record("no error"); return }
    #expect(error <= limit && error > limit * 0.98, "\(error) for \(limit)")
  }

  /// Some bytes more or less are all that the real digests make of a small expert.
  @Test(arguments: ["2110", "2500", "5277"], ["balanced", "least-error"])
  func smallBudgetsAreKept(_ budget: String, _ objective: String) throws {
    let limit = try #require(Int64(budget))
    for expert in try experts(zoo(in: folder, "--budget-per-expert", budget, "--objective", objective)) {
      #expect(try integer(expert["bytes"]) <= limit)
    }
  }

  /// What an expert lacks is named in its section.
  @Test func namesOfAbsentTensorsAreInTheBudget() throws {
    let names = (0..<300).map { "a tensor that only the base has, the \($0 * 7919)th" }
    let tensors = [try tensor("w", .f32, [60, 50], noise(3000, seed: 1))]
    let absent = try names.map { try tensor($0, .f32, [1], [1]) }
    try writeModel(tensors + absent, to: folder("base.safetensors"))
    try writeModel([try tensor("w", .f32, [60, 50], noise(3000, seed: 2))], to: folder("x.safetensors"))
    let path = folder("x.tmpack")
    let run = try tmpack(
      "pack", "--base", folder("base.safetensors"), "--expert", "x=\(folder("x.safetensors"))", "--shared", "base",
      "--budget-per-expert", "3kB", "-o", path)
    #expect(run.code == 0, "\(run.talk)")
    let bytes = try integer(experts(path)[0]["bytes"])
    #expect(bytes <= 3000 && bytes >= 2910, "\(bytes)")
  }

  @Test(arguments: [
    ["--quality", "low", "--error", "0.3"], ["--budget", "1MB", "--budget-per-expert", "9kB"],
    ["--quality", "low", "--rank", "3"], ["--error", "0.3", "--density", "0.1"], ["--budget", "1MB", "--lossless"],
    ["--quality", "low", "--factor-dtype", "int8"], ["--codec", "low-rank"], ["--objective", "balanced"],
    ["--tall-masks", "--rank", "3", "--shared", "base"], ["--tall-masks", "0.4", "--lossless", "--shared", "base"],
    ["--tall-masks", "--quality", "low", "--shared", "base"], ["--tall-masks"],
    ["--tall-masks", "--shared", "average"],
    ["--tall-masks=-1", "--shared", "base"], ["--lossless", "--exact"], ["--quality", "best"], ["--budget", "0"],
  ]) func optionsThatExcludeEachOther(_ options: [String]) throws {
    let arguments = ["pack", "--base", base, "--expert", a66, "-o", folder("x.tmpack"), "--json"] + options
    let run = try Child(toolPath, arguments).wait()
    #expect(run.code == 1 && run.output.isEmpty)
    #expect(try run.jsonError()["code"] == "invalid-argument")
    #expect(folder.names.isEmpty)
  }

  // TMP-6-23
  @Test(arguments: [["--tall-masks"], ["--tall-masks", "0.4"]]) func tallMasks(_ options: [String]) throws {
    let path = folder("masks.tmpack")
    let arguments =
      ["pack", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "--shared", "base", "-o", path]
    #expect(try Child(toolPath, arguments + options).wait().code == 0)
    for expert in try experts(path) {
      #expect(try integer(object(expert["factors"])["masked"]) > 0)
    }
    #expect(try tmpack("inspect", path, "--tensors").output.contains("masked"))
    #expect(try tmpack("verify", path, "--deep", "--source", "b44=\(b44)").code == 0)
    let added = try tmpack("add", path, "--expert", "c07=\(c07)", "--tall-masks", "--json")
    #expect(added.code == 1)
    #expect(try added.jsonError()["code"] == "invalid-argument")
    #expect(try tmpack("plan", "--base", base, "--expert", a66, "--shared", "base", "--tall-masks").code == 1)
  }

  @Test func exactAndStrip() throws {
    let archive = try zoo(in: folder, "--quality", "medium", "--exact")
    let out = folder("a66.safetensors")
    #expect(try tmpack("unpack", archive, "--expert", "a66", "--exact", "-o", out).code == 0)
    #expect(try contents(out) == contents(a66))
    #expect(try tmpack("compare", a66, "\(archive)#a66", "--require-equal").code == 2)
    for wrong in [["--weights", "a66=1", "--exact"], ["--expert", "a66", "--exact", "--dtype", "bf16"]] {
      #expect(try Child(toolPath, ["unpack", archive, "-o", folder("no")] + wrong).wait().code == 1)
    }

    #expect(try tmpack("strip", archive).code == 1)
    let unnamed = try tmpack("strip", archive, "--exact", "-o", "", "--json")
    #expect(try unnamed.code == 1 && unnamed.jsonError()["code"] == "invalid-argument")
    let small = folder("small.tmpack")
    #expect(try tmpack("strip", archive, "--exact", "-o", small).code == 0)
    #expect(try contents(small).count < contents(archive).count)
    #expect(try experts(archive).allSatisfy { $0["correction_bytes"] != nil })
    #expect(try experts(small).allSatisfy { $0["correction_bytes"] == nil })
    #expect(try tmpack("compare", "\(archive)#a66", "\(small)#a66", "--require-equal").code == 0)
    #expect(try tmpack("verify", small, "--deep", "--source", "a66=\(a66)").code == 0)
    #expect(try tmpack("unpack", small, "--expert", "a66", "--exact", "-o", folder("no")).code == 1)
    #expect(try tmpack("strip", archive, "--exact").code == 0)
    #expect(try contents(archive) == contents(small))
    #expect(folder.names == ["a66.safetensors", "small.tmpack", "zoo.tmpack"])
  }

  @Test func conversionThereAndBack() throws {
    var last = a66
    for name in ["a.pt", "a.npz", "a.gguf", "a.safetensors"] {
      #expect(try tmpack("convert", last, folder(name)).code == 0)
      last = folder(name)
      #expect(try tmpack("compare", a66, last, "--require-equal").code == 0)
    }
    #expect(try tmpack("convert", a66, folder("a.onnx"), "--json").code == 3)
    #expect(try tmpack("convert", a66, folder("b.npz"), "--quantize", "q8_0").code == 1)
    #expect(folder.names == ["a.gguf", "a.npz", "a.pt", "a.safetensors"])
  }

  @Test func convertsToGGUF() throws {
    try FileTree.makeFolder(folder("in"))
    try put(try contents(a66), at: folder("in/model.safetensors"))
    try put(Array(#"{"model_type": "bert"}"#.utf8), at: folder("in/config.json"))
    // No BERT, whatever it says.
    let refused = try tmpack("convert", folder("in"), folder("a.gguf"))
    #expect(refused.code == 2 && refused.talk.contains("--gguf-names keep"), "\(refused.talk)")
    let converted = try tmpack(
      "convert", folder("in"), folder("a.gguf"), "--quantize", "q8_0", "--gguf-names", "keep", "--json")
    #expect(try converted.json()["format"] == "gguf")
    let notes = strings(try converted.json()["notes"])
    #expect(notes.contains { $0.contains("are quantised to Q8_0") })
    #expect(!notes.contains { $0.contains("general.architecture") || $0.contains("llama.cpp") })
    #expect(try tmpack("compare", folder("in"), folder("a.gguf"), "--require-equal").code == 2)
    let archive = try zoo(in: folder, "--lossless")
    let unpacked = try tmpack("unpack", archive, "--expert", "a66", "-o", folder("b.gguf"))
    #expect(unpacked.code == 0 && unpacked.talk.contains("general.architecture"))
    #expect(try tmpack("compare", a66, folder("b.gguf"), "--require-equal").code == 0)
    let stored = try tmpack("convert", a66, folder("g"), "--to", "gguf")
    #expect(stored.code == 0 && stored.talk.contains("llama.cpp will not run the file"), "\(stored.talk)")
    #expect(try FileTree.names(in: folder("g")) == ["model.gguf"])
  }

  /// What a folder loses on the way is said, by every command that makes another of it.
  @Test func saysWhichFilesStayBehind() throws {
    try FileTree.makeFolder(folder("in"))
    try FileTree.makeFolder(folder("in/2_Dense"))
    try put(try contents(a66), at: folder("in/model.safetensors"))
    try put(try contents(b44), at: folder("in/2_Dense/model.safetensors"))
    try put(Array("{}".utf8), at: folder("tokenizer.json"))
    #expect(symlink("../tokenizer.json", folder("in/tokenizer.json")) == 0)
    let weights =
      "\(folder("in/2_Dense/model.safetensors")) stays behind: it holds weights that are not the checkpoint's"
    let link = "\(folder("in/tokenizer.json")) stays behind: it is a link"
    let merged = try tmpack("merge", "average", "--expert", folder("in"), "-o", folder("merged"), "--json")
    #expect(try strings(merged.json()["notes"]) == [weights, link])
    let converted = try tmpack("convert", folder("in"), folder("converted"))
    #expect(converted.talk.contains("note: \(weights)") && converted.talk.contains("note: \(link)"))
    let file = try strings(tmpack("convert", folder("in"), folder("a.safetensors"), "--json").json()["notes"])
    #expect(file == [weights])
  }

  @Test func overflowsAreCountedOrRefused() throws {
    #expect(try tmpack("convert", a66, folder("x.gguf"), "--dtype", "f8_e4m3").code == 3)
    let bits = [Float(1000), 1, -1e6].flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
    let header = #"{"t":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    try put(length + Array(header.utf8) + bits, at: folder("in"))
    for (dtype, count) in [("f8_e4m3", 2), ("f8_e5m2", 1), ("f16", 1)] {
      let output = folder("\(dtype).safetensors")
      let refused = try tmpack("convert", folder("in"), output, "--dtype", dtype, "--json")
      #expect(refused.code == 1)
      #expect(try refused.jsonError()["tensor"] == "t")
      let run = try tmpack("convert", folder("in"), output, "--dtype", dtype, "--overflow", "saturate", "--json")
      #expect(try run.json()["overflows"] == JSONValue(count))
    }
  }

  /// A pipeline of diffusers in an archive, and back in its folders.
  @Test func packsPipelines() throws {
    let index = #"{"unet": ["diffusers", "A"], "text_encoder": ["transformers", "B"], "scheduler": ["diffusers", "C"]}"#
    for (name, unet, text) in [("base", base, c07), ("tuned", a66, b44)] {
      for path in ["", "/unet", "/text_encoder", "/scheduler"] { try FileTree.makeFolder(folder(name) + path) }
      try put(Array(index.utf8), at: folder(name) + "/model_index.json")
      try put(Array("{}".utf8), at: folder(name) + "/scheduler/scheduler_config.json")
      try put(try contents(unet), at: folder(name) + "/unet/diffusion_pytorch_model.safetensors")
      try put(try contents(text), at: folder(name) + "/text_encoder/model.safetensors")
    }
    let archive = folder("x.tmpack")
    let pack = try tmpack("pack", "--base", folder("base"), "--expert", folder("tuned"), "--lossless", "-o", archive)
    #expect(pack.code == 0, "\(pack.talk)")
    #expect(try tmpack("unpack", archive, "--expert", "tuned", "-o", folder("out")).code == 0)
    #expect(try FileTree.names(in: folder("out")) == ["model_index.json", "scheduler", "text_encoder", "unet"])
    for file in ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"] {
      #expect(try contents(folder("out/\(file)")) == contents(folder("tuned/\(file)")))
    }
    #expect(try tmpack("compare", folder("tuned"), folder("out"), "--require-equal").code == 0)
    #expect(try tmpack("convert", folder("out"), folder("torch"), "--to", "pytorch").code == 0)
    #expect(try FileTree.names(in: folder("torch/unet")) == ["diffusion_pytorch_model.bin"])
    #expect(try tmpack("compare", "\(archive)#tuned", folder("torch"), "--require-equal").code == 0)
  }

  @Test func packsOtherFormats() throws {
    #expect(try tmpack("convert", a66, folder("a.pt")).code == 0)
    #expect(try tmpack("convert", base, folder("base.npz")).code == 0)
    let archive = folder("x.tmpack")
    let pack = try tmpack("pack", "--base", folder("base.npz"), "--expert", folder("a.pt"), "--lossless", "-o", archive)
    #expect(pack.code == 0, "\(pack.talk)")
    #expect(try tmpack("compare", a66, "\(archive)#a", "--require-equal").code == 0)
  }

  /// An archive keeps those of the base.
  @Test func keepsTheMetadataOfGGUF() throws {
    let gguf = "\(packageRoot)/Fixtures/foreign/gguf/plain.gguf"
    let pack = try tmpack("pack", "--base", gguf, "--expert", "x=\(gguf)", "--lossless", "-o", folder("x.tmpack"))
    #expect(!pack.talk.contains("metadata"), "\(pack.talk)")
    let unpack = try tmpack("unpack", folder("x.tmpack"), "--expert", "x", "-o", folder("x.gguf"))
    #expect(unpack.code == 0, "\(unpack.talk)")
    func metadata(_ path: String) throws -> TypedMetadata { try Checkpoint.open(path).source.typedMetadata }
    #expect(try metadata(folder("x.gguf")) == metadata(gguf))
    #expect(try tmpack("compare", gguf, folder("x.gguf"), "--require-equal").code == 0)
    // Beside the tensors of another format they are a file.
    #expect(try tmpack("unpack", folder("x.tmpack"), "--expert", "x", "-o", folder("model")).code == 0)
    #expect(try tmpack("convert", folder("model"), folder("again.gguf")).code == 0)
    #expect(try metadata(folder("again.gguf")) == metadata(gguf))
  }

  @Test func saysWhatAnArchiveDoesNotKeepOfGGUF() throws {
    let gguf = "\(packageRoot)/Fixtures/foreign/gguf/plain.gguf"
    #expect(try tmpack("convert", gguf, folder("base.safetensors")).code == 0)
    let pack = try tmpack(
      "pack", "--base", folder("base.safetensors"), "--expert", "x=\(gguf)", "--lossless", "-o", folder("x.tmpack"))
    #expect(pack.talk.contains("note: x: the archive has no place for metadata that are arrays"), "\(pack.talk)")
    #expect(pack.talk.contains("note: x: the archive keeps metadata as text only"), "\(pack.talk)")
  }
}
