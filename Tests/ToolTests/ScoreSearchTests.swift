import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

/// `pack --eval`: the smallest archive that keeps a share of the experts' own scores.
@Suite struct ScoreSearchTests {
  private let folder = TemporaryFolder()

  private static let experts = ["HLA-A6601_BA", "HLA-B4402_BA"]

  /// One less the relative error of the checkpoint, against the fixture of the expert's name.
  private func similarity() throws -> String {
    let script = """
      \(toolPath) compare "\(packageRoot)/Fixtures/mhcnuggets/$1.safetensors" "$2" --json > \(folder("out"))
      python3 -c "import json; print('score:', 1 - json.load(open('\(folder("out"))'))['relative_error'])"
      """
    try put(Array(script.utf8), at: folder("score"))
    return "sh \(folder("score")) {expert} {checkpoint}"
  }

  private func pack(_ options: String...) throws -> Run { try run("pack", options) }

  private func run(_ command: String, _ options: [String]) throws -> Run {
    try Child(
      toolPath,
      [command, "--base", base] + Self.experts.flatMap { ["--expert", fixture($0)] } + ["-o", folder("zoo.tmpack")]
        + options
    ).wait()
  }

  private func double(_ value: JSONValue?) throws -> Double {
    switch value {
    case .number(let number): number
    case .integer(let number): Double(number)
    default: throw StorageError(.malformed, "no number: \(String(describing: value))")
    }
  }

  @Test func makesTheSmallestArchiveThatKeepsTheScores() throws {
    let run = try pack("--eval", similarity(), "--keep", "0.95", "--json")
    #expect(run.code == 0, "\(run.talk)")
    let search = try object(run.json()["score_search"])
    #expect(search["own"] == .array([.number(1), .number(1)]))
    let best = try object(search["best"])
    #expect(try double(best["kept"]) >= 0.95)
    guard case .array(let trials) = search["trials"], case .string(let quality) = best["quality"],
      let components = Int(quality)
    else {
      Issue.record("no trials")
      return
    }
    // Next to it is one that does not keep enough.
    let near = try trials.map { try object($0) }.filter { trial in
      guard case .string(let text) = trial["quality"], let count = Int(text) else { return false }
      return try count < components && double(trial["kept"]) < 0.95
    }
    #expect(
      near.contains { trial in
        guard case .string(let text) = trial["quality"], let count = Int(text) else { return false }
        return components - count == 1 || Double(components) <= 1.05 * Double(count)
      })
    // The same as by hand, and the options say how to make it again.
    let plain = try Child(
      toolPath,
      ["pack", "--base", base] + Self.experts.flatMap { ["--expert", fixture($0)] } + [
        "-o", folder("plain.tmpack"), "--quality", quality,
      ]
    ).wait()
    #expect(plain.code == 0)
    for name in Self.experts {
      let equal = try tmpack(
        "compare", "\(folder("zoo.tmpack"))#\(name)", "\(folder("plain.tmpack"))#\(name)", "--require-equal")
      #expect(equal.code == 0)
    }
    // Each expert's own scores are in its provenance, and nowhere else.
    guard case .array(let made) = try tmpack("inspect", folder("zoo.tmpack"), "--json", "--tensors").json()["experts"]
    else {
      Issue.record("no experts")
      return
    }
    for (index, expert) in made.enumerated() {
      let options = try object(object(object(expert)["provenance"])["options"])
      guard case .string(let text) = options["scores"], options["quality"] == .string(quality) else {
        Issue.record("no scores")
        continue
      }
      let record = try object(text)
      guard case .array(let points) = record["trials"] else { Issue.record("no trials"); continue }
      #expect(try double(record["own"]) == 1 && double(record["keep"]) == 0.95 && points.count == trials.count)
      #expect(
        try trials.allSatisfy { trial in
          guard case .array(let bytes) = try object(trial)["bytes"],
            case .array(let scores) = try object(trial)["scores"]
          else { return false }
          return points.contains(.array([bytes[index], scores[index]]))
        })
    }
    #expect(folder.names.filter { $0.hasPrefix(".") }.isEmpty)
  }

  @Test func aDryRunOnlyLooks() throws {
    let run = try pack("--eval", similarity(), "--keep", "0.9", "--dry-run")
    #expect(run.code == 0, "\(run.talk)")
    #expect(run.output.contains("smallest that keeps 90"))
    #expect(FileTree.kind(of: folder("zoo.tmpack")) == nil)
    #expect(folder.names.filter { $0.hasPrefix(".") }.isEmpty)
  }

  @Test func planLooksAsPackDoes() throws {
    let options = try ["--eval", similarity(), "--keep", "0.9"]
    let planned = try run("plan", options)
    #expect(planned.code == 0, "\(planned.talk)")
    #expect(try planned.output == run("pack", options + ["--dry-run"]).output)
    #expect(FileTree.kind(of: folder("zoo.tmpack")) == nil)
    #expect(try run("plan", options + ["--quality", "low"]).code == 1)
    #expect(try run("plan", options + ["--tasks", folder("tasks.json")]).code == 1)
  }

  @Test(arguments: [
    ("exit 7 # {checkpoint}", "exit code 7"), ("echo none # {checkpoint}", "print a number"),
    ("echo 0 # {checkpoint}", "above 0"),
    // The experts as they are, and then what is never good enough.
    (
      "n=$(cat N 2>/dev/null || echo 0); echo $((n + 1)) > N; test $n -lt 2 && echo 1 || echo 0.5 # {checkpoint}",
      "50.0 %"
    ),
  ]) func refusesScoresThatCannotBeKept(_ command: String, _ message: String) throws {
    let run = try pack(
      "--eval", command.replacing("N ", with: "\(folder("n")) ").replacing("> N;", with: "> \(folder("n"));"))
    #expect(run.code == 1 && run.talk.contains(message), "\(run.talk)")
    #expect(FileTree.kind(of: folder("zoo.tmpack")) == nil)
    #expect(folder.names.filter { $0.hasPrefix(".") }.isEmpty)
  }

  @Test(arguments: [
    (["--keep", "0.9"], "--keep belongs to --eval"), (["--eval", "true"], "{checkpoint}"),
    (["--eval", "echo {checkpoint}", "--keep", "1"], "below 1"),
    (["--eval", "echo {checkpoint}", "--quality", "low"], "--eval"),
    (["--eval", "echo {checkpoint}", "--rank", "4"], "--eval"),
    (["--eval", "echo {checkpoint}", "--resume"], "--resume"),
    (["--quality", "0"], "--quality"), (["--quality", "best"], "--quality"),
  ]) func refusesOptionsThatDoNotGoTogether(_ options: [String], _ message: String) throws {
    let run = try Child(
      toolPath,
      ["pack", "--base", base, "--expert", a66, "-o", folder("zoo.tmpack")] + options
    ).wait()
    #expect(run.code == 1 && run.talk.contains(message), "\(run.talk)")
  }

  @Test func componentsAreAQuality() throws {
    let medium = try zoo(in: folder, "--quality", "medium")
    let same = try contents(medium).count
    try FileTree.remove(medium)
    let counted = try contents(zoo(in: folder, "--quality", "24")).count
    // But for the word in the record of the options.
    #expect(abs(same - counted) < 256)
    let run = try tmpack("add", folder("zoo.tmpack"), "--expert", "c07=\(c07)")
    #expect(run.code == 0 && run.talk.contains("--quality=24"), "\(run.talk)")
  }
}
