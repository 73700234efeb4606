import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

@Suite struct PlanTests {
  let folder = TemporaryFolder()

  private func plan(_ options: String...) throws -> Run {
    try Child(toolPath, ["plan", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)"] + options).wait()
  }

  private func number(_ value: JSONValue?) throws -> Double {
    switch value {
    case .number(let number): number
    case .integer(let number): Double(number)
    default: throw StorageError(.malformed, "no number")
    }
  }

  private func experts(_ run: Run) throws -> [JSONObject] {
    guard case .array(let list) = try run.json()["experts"] else { return [] }
    return try list.map { try object($0) }
  }

  @Test func foretellsAModelWithATensorOfNoElements() throws {
    for (name, seed) in [("base", UInt64(1)), ("a", 2)] {
      try writeModel(
        [tensor("empty", .f32, [0, 16], []), tensor("w", .f32, [32, 16], noise(512, seed: seed))],
        to: folder("\(name).safetensors"))
    }
    let run = try tmpack("plan", "--base", folder("base.safetensors"), "--expert", "a=\(folder("a.safetensors"))")
    #expect(run.code == 0, "\(run)")
  }

  @Test(arguments: [[], ["--quality", "low"], ["--lossless"], ["--rank", "4", "--factor-dtype", "f16"]])
  func foretellsPack(_ options: [String]) throws {
    let planned = try experts(
      Child(toolPath, ["plan", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "--json"] + options)
        .wait())
    let archive = folder("x.tmpack")
    let pack = try Child(
      toolPath,
      ["pack", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "-o", archive, "--json"] + options
    ).wait()
    let packed = try experts(pack)
    #expect(planned.count == 2 && packed.count == 2)
    for (expected, actual) in zip(planned, packed) {
      #expect(expected["name"] == actual["name"])
      #expect(expected["change"] != nil && expected["change"] == actual["change"])
      #expect(expected["looks_independent"] == .bool(false))
      let outcome = try object(expected["outcome"])
      let bytes = try number(object(outcome["bytes"])["value"])
      #expect(abs(bytes / (try number(actual["bytes"])) - 1) < 0.01)
      #expect((outcome["error"] == nil) == (actual["error"] == nil))
    }
  }

  @Test func asksAboutABaseThatIsNot() throws {
    for (name, seed) in [("base", 0), ("other", 10)] {
      let tensors = try (0..<4).map {
        try tensor("layers.\($0).weight", .f32, [16, 16], noise(256, seed: UInt64(seed + $0 + 1)))
      }
      try writeModel(tensors, to: folder("\(name).safetensors"))
    }
    let models = ["plan", "--base", folder("base.safetensors"), "--expert", "x=\(folder("other.safetensors"))"]
    let run = try Child(toolPath, models).wait()
    #expect(run.code == 0 && run.talk.contains("is this the base that x was fine-tuned from?"), "\(run.talk)")
    #expect(try experts(Child(toolPath, models + ["--json"]).wait())[0]["looks_independent"] == .bool(true))
  }

  @Test func writesNothing() throws {
    for options in [["--budget-per-expert", "9kB"], []] {
      let run = try Child(
        toolPath, ["plan", "--base", base, "--expert", a66, "-o", folder("x.tmpack"), "--json"] + options
      ).wait()
      #expect(run.code == 0, "\(run.talk)")
      #expect(try object(run.json()["cost"])["free_disk_bytes"] != nil)
      #expect(folder.names.isEmpty)
    }
  }

  @Test func targetsOutOfReach() throws {
    for options in [["--budget-per-expert=100B"], ["--budget=50kB"], ["--error=0.00001"]] {
      let run = try Child(
        toolPath, ["plan", "--base", base, "--expert", a66, "-o", folder("x.tmpack"), "--json"] + options
      ).wait()
      #expect(run.code == 0)
      #expect(try run.json()["verdict"] == "unlikely")
      #expect(try run.json()["bytes"] == nil)
    }
  }

  @Test(arguments: [
    ["--rank", "3", "--lossless"], ["--quality", "low", "--rank", "3"], ["--sample", "0"], ["--sample", "2"],
    ["--rank", "0"], ["--error", "1"], ["--detached"], ["--shared-out", "x"], ["--expert", "a66=\(c07)"],
  ]) func refusesWhatPackRefuses(_ options: [String]) throws {
    let run = try Child(toolPath, ["plan", "--base", base, "--expert", "a66=\(a66)", "--json"] + options).wait()
    #expect(run.code == 1 && run.output.isEmpty)
    #expect(try run.jsonError()["code"] == "invalid-argument")
  }

  @Test func missingFile() throws {
    let run = try tmpack("plan", "--base", base, "--expert", folder("missing"), "--json")
    #expect(run.code == 4)
  }

  @Test func nonFiniteValueIsAUsageErrorAfterThePlan() throws {
    var bytes = try contents(a66)
    // The last number of the file.
    bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xC0, 0x7F])
    try put(bytes, at: folder("nan.safetensors"))
    let run = try tmpack("plan", "--base", base, "--expert", folder("nan.safetensors"), "--json")
    #expect(run.code == 1)
    #expect(try run.json()["verdict"] == "refused")
    let plain = try tmpack("plan", "--base", base, "--expert", folder("nan.safetensors"))
    #expect(plain.code == 1 && plain.output.contains("pack would refuse"))
    #expect(try tmpack("plan", "--base", base, "--expert", folder("nan.safetensors"), "--lossless").code == 0)
  }

  @Test func tableForPeople() throws {
    let run = try plan("--quality", "high", "--exclude", "zz")
    #expect(run.code == 0)
    #expect(run.output.contains("50 components (high)") && run.output.contains("lossless"))
    #expect(run.output.contains("archive: ") && run.output.contains("memory: about"))
    #expect(
      run.talk.contains("a66, b44: 7 of 7 tensors sampled") && run.talk.contains("--exclude zz matches no tensor"))
  }
}
