import TMPackByteIO
import TestSupport
import Testing

/// An expert whose tensors have other names than the base's shares nothing, and no command may pass over that.
@Suite struct UnmatchedTests {
  private let folder = TemporaryFolder()

  /// A model of two matrices, of which the second may be called otherwise.
  private func model(_ name: String, second: String, seed: UInt64) throws -> String {
    let path = folder("\(name).safetensors")
    try writeModel(
      [
        tensor("a.weight", .f32, [8, 8], noise(64, seed: seed)),
        tensor(second, .f32, [8, 12], noise(96, seed: seed + 1)),
      ], to: path)
    return path
  }

  @Test func mergeRefusesThem() throws {
    let base = try model("base", second: "b.weight", seed: 1)
    let expert = try model("expert", second: "strange", seed: 3)
    let arguments = [
      "merge", "task-arithmetic", "--base", base, "--expert", "e=\(expert)", "-o", folder("m.safetensors"),
    ]
    let refused = try Child(toolPath, arguments).wait()
    #expect(refused.code == 1)
    #expect(refused.talk.contains("1 of 2 tensors, 60 % of the parameters, have no partner"), "\(refused.talk)")
    #expect(refused.talk.contains("strange F32 [8, 12]"), "\(refused.talk)")
    #expect(refused.talk.contains("b.weight F32 [8, 12]"), "\(refused.talk)")
    #expect(FileTree.kind(of: folder("m.safetensors")) == nil)
    let allowed = try Child(toolPath, arguments + ["--allow-unmatched"]).wait()
    #expect(allowed.code == 0, "\(allowed.talk)")
  }

  @Test func packSaysWhatTheyCost() throws {
    let base = try model("base", second: "b.weight", seed: 1)
    let small = folder("small.safetensors")
    try writeModel(
      [
        tensor("a.weight", .f32, [8, 8], noise(64, seed: 5)), tensor("b.weight", .f32, [8, 12], noise(96, seed: 6)),
        tensor("head", .f32, [4, 8], noise(32, seed: 7)),
      ], to: small)
    let arguments = ["--base", base, "--expert", "e=\(small)", "--lossless", "--shared", "base"]
    let packed = try Child(toolPath, ["pack", "-o", folder("z.tmpack")] + arguments).wait()
    #expect(packed.code == 0, "\(packed.talk)")
    let notes = packed.talk.split(separator: "\n").filter { $0.hasPrefix("note:") }
    #expect(notes.first?.contains("16.7 % of the parameters, have no partner") == true, "\(packed.talk)")
    #expect(notes.first?.contains("128 B before compression") == true)
    let planned = try Child(toolPath, ["plan", "--json"] + arguments).wait()
    guard case .array(let unmatched)? = try planned.json()["unmatched"] else { Issue.record("\(planned)"); return }
    #expect(try object(unmatched.first)["bytes"] == 128)
  }

  @Test func mostOfTheModelIsAnError() throws {
    let (base, expert) = (folder("base.safetensors"), folder("expert.safetensors"))
    // Of other sizes: names that differ in their beginnings alone would be matched.
    for (path, name, width) in [(base, "layers", 12), (expert, "strange", 13)] {
      let own = try (0..<8).map {
        try tensor("\(name).\($0).weight", .f32, [8, width], noise(8 * width, seed: UInt64($0)))
      }
      try writeModel([tensor("a.weight", .f32, [8, 8], noise(64, seed: 9))] + own, to: path)
    }
    for command in [["pack", "-o", folder("z.tmpack")], ["plan"]] {
      let refused = try Child(toolPath, command + ["--base", base, "--expert", "e=\(expert)", "--lossless"]).wait()
      #expect(refused.code == 1)
      #expect(refused.talk.contains("have no partner in the base"), "\(refused.talk)")
    }
  }

  @Test func aVocabularyThatGrewHasPartners() throws {
    let base = folder("base.safetensors")
    try writeModel(
      [tensor("embed.weight", .f32, [8, 8], noise(64, seed: 1)), tensor("a", .f32, [4], noise(4, seed: 2))], to: base)
    let expert = folder("e.safetensors")
    try writeModel(
      [tensor("embed.weight", .f32, [9, 8], noise(72, seed: 3)), tensor("a", .f32, [4], noise(4, seed: 4))], to: expert)
    let merged = try tmpack(
      "merge", "average", "--base", base, "--expert", "e=\(expert)", "-o", folder("m.safetensors"))
    #expect(merged.code == 0, "\(merged.talk)")
  }
}
