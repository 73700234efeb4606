import TMPackJSON
import TestSupport
import Testing

@Suite struct MergeTests {
  @Test func mergesLikePackDoes() throws {
    let folder = TemporaryFolder()
    let merged = try tmpack(
      "merge", "task-arithmetic", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "--set",
      "weight@b44=0.5", "--lambda", "0.4", "-o", folder("merged.safetensors"), "--json")
    #expect(try merged.json()["tensors"] != nil, "\(merged.talk)")
    let packed = try tmpack(
      "pack", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "--set", "weight@b44=0.5", "--lambda",
      "0.4", "--detached", "--shared-out", folder("shared.safetensors"), "-o", folder("x.tmpack"))
    #expect(packed.code == 0, "\(packed.talk)")
    #expect(try contents(folder("merged.safetensors")) == contents(folder("shared.safetensors")))
  }

  @Test(arguments: [
    ["merge", "task-arithmetic"], ["pack", "--lossless"], ["pack", "--lossless", "--resume"],
    ["pack", "--lossless", "--detached", "--shared-out", "SHARED"],
  ])
  func saysWhatIsTooLarge(_ command: [String]) throws {
    let folder = TemporaryFolder()
    let arguments =
      command.map { $0 == "SHARED" ? folder("shared.safetensors") : $0 }
      + ["--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "--force"]
      + ["-o", folder(command[0] == "merge" ? "merged.safetensors" : "zoo.tmpack"), "--lambda"]
    let sound = try Child(toolPath, arguments + ["0.3", "--json"]).wait()
    #expect(try sound.json()["overflows"] == 0)
    let counted = try Child(toolPath, arguments + ["1e45", "--json"]).wait()
    guard case .integer(let count) = try counted.json()["overflows"] else { Issue.record("\(counted)"); return }
    #expect(count > 1000)
    if command[0] == "merge" { #expect(try infinities(folder("merged.safetensors")) == count) }
    let said = try Child(toolPath, arguments + ["1e45"]).wait()
    let model = command[0] == "merge" ? "merged" : "shared"
    #expect(said.talk.contains("note: \(count) numbers of the \(model) model too large for the dtype became infinite"))
  }

  /// Of a safetensors file that holds floats of 32 bits only.
  private func infinities(_ path: String) throws -> Int {
    try contents(path).withUnsafeBytes { raw in
      let start = 8 + Int(UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self)))
      return stride(from: start, to: raw.count, by: 4).count { place in
        Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt32.self))).isInfinite
      }
    }
  }

  @Test func followsARecipe() throws {
    let folder = TemporaryFolder()
    let recipe = """
      merge_method: linear
      models:
        - {model: \(a66), name: a}
        - {model: \(b44), name: b, parameters: {weight: 3}}
      dtype: float16
      """
    try put(Array(recipe.utf8), at: folder("r.yaml"))
    let byRecipe = try tmpack("merge", "--recipe", folder("r.yaml"), "-o", folder("r.safetensors"))
    #expect(byRecipe.code == 0, "\(byRecipe.talk)")
    let byOptions = try tmpack(
      "merge", "average", "--expert", "a=\(a66)", "--expert", "b=\(b44)", "--set", "weight@b=3", "--dtype", "f16", "-o",
      folder("o.safetensors"))
    #expect(byOptions.code == 0, "\(byOptions.talk)")
    #expect(try contents(folder("r.safetensors")) == contents(folder("o.safetensors")))
    // What is given on the command line comes first.
    let changed = try tmpack(
      "merge", "--recipe", folder("r.yaml"), "--set", "weight@b=1", "-o", folder("c.safetensors"))
    #expect(changed.code == 0, "\(changed.talk)")
    #expect(try contents(folder("c.safetensors")) != contents(folder("o.safetensors")))
  }

  /// The score is the negative of λ's distance from 0.4, which the command finds by the file's size and name only: it
  /// counts its calls.
  @Test func keepsTheBestOfASearch() throws {
    let folder = TemporaryFolder()
    let script = """
      n=$(cat \(folder("n")) 2>/dev/null || echo 0); echo $((n + 1)) > \(folder("n"))
      test -s "$1" || exit 3
      echo score: $(python3 -c "print(-abs($n - 2))")
      """
    try put(Array(script.utf8), at: folder("score"))
    let arguments = [
      "merge", "task-arithmetic", "--base", base, "--expert", "a66=\(a66)", "-o", folder("it's best.safetensors"),
      "--search", "lambda=0.1:0.5:0.1", "--eval", "sh \(folder("score")) {checkpoint}",
    ]
    let run = try Child(toolPath, arguments + ["--json"]).wait()
    let search = try object(run.json()["search"])
    guard case .array(let trials) = search["trials"] else { Issue.record("no trials"); return }
    #expect(trials.count == 5)
    #expect(try object(object(search["best"])["settings"])["lambda"] == "0.3")
    let plain = try tmpack(
      "merge", "task-arithmetic", "--base", base, "--expert", "a66=\(a66)", "--lambda", "0.3", "-o",
      folder("p.safetensors"))
    #expect(plain.code == 0)
    #expect(try contents(folder("it's best.safetensors")) == contents(folder("p.safetensors")))
    #expect(folder.names.filter { $0.hasPrefix(".") }.isEmpty)
  }

  @Test(arguments: [
    ("exit 7", "exit code 7"), ("echo no", "print a number"), ("true", "print a number"),
    ("echo nan", "print a number"),
  ])
  func refusesAScoreThatIsNone(_ command: String, _ message: String) throws {
    let folder = TemporaryFolder()
    let run = try tmpack(
      "merge", "average", "--expert", "a=\(a66)", "-o", folder("x.safetensors"), "--search", "weight=1,2", "--eval",
      "\(command) # {checkpoint}")
    #expect(run.code == 1 && run.talk.contains(message), "\(run.talk)")
    #expect(folder.names == [])
  }

  @Test(arguments: [
    (["tis", "--base", "B", "--expert", "A"], "did you mean 'ties'"),
    (["average", "--expert", "A", "--set", "weigth=1"], "did you mean 'weight'"),
    (["average", "--expert", "A", "--set", "weight@b=1"], "names no expert 'b'"),
    (
      ["average", "--expert", "A", "--search", "weight@b=1,2", "--eval", "echo {checkpoint}"],
      "--search names no expert 'b'"
    ),
    (["average", "--expert", "A", "--set", "weight=x"], "must be a finite number"),
    // Two spellings of a name are two experts.
    (["average", "--expert", "e\u{301}=F", "--set", "weight@\u{E9}=1"], "names no expert"),
    (["fisher", "--expert", "e\u{301}=F", "--statistics", "\u{E9}=F"], "names no expert"),
    (["fisher", "--expert", "A", "--statistics", "a=F", "--statistics", "a=B"], "are given twice"),
    (["task-arithmetic", "--expert", "A"], "needs the --base"), (["average"], "--expert"), ([], "method"),
    (["average", "--expert", "A", "--search", "weight=1"], "--eval"),
    (["average", "--expert", "A", "--search", "weight=1", "--eval", "true"], "{checkpoint}"),
  ])
  func saysWhatIsWrongWith(_ arguments: [String], _ message: String) throws {
    let folder = TemporaryFolder()
    let real = arguments.map { argument in
      argument == "A" ? "a=\(a66)" : argument == "B" ? base : argument.replacing("=F", with: "=\(a66)")
    }
    let run = try Child(toolPath, ["merge"] + real + ["-o", folder("x.safetensors")]).wait()
    #expect(run.code == 1 && run.talk.contains(message), "\(run.talk)")
    #expect(folder.names == [])
  }

  @Test func listsTheMethods() throws {
    let text = try tmpack("merge", "--list")
    #expect(text.code == 0 && text.output.contains("task-arithmetic\n"))
    let run = try tmpack("merge", "--list", "--json")
    guard case .array(let methods) = try JSONValue(parsing: Array(run.output.utf8)) else {
      Issue.record("no list")
      return
    }
    for method in methods {
      let kind = try object(method)
      for key in ["name", "summary", "paper", "settings"] { #expect(kind[key] != nil) }
    }
  }

  @Test func refusesExpertsOfAnotherArchitecture() throws {
    let folder = TemporaryFolder()
    try writeModel([tensor("other", .f32, [2], [1, 2])], to: folder("o.safetensors"))
    let run = try tmpack(
      "merge", "average", "--base", base, "--expert", "o=\(folder("o.safetensors"))", "-o", folder("x.safetensors"))
    #expect(run.code == 1 && run.talk.contains("another architecture"), "\(run.talk)")
  }
}
