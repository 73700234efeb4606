import TestSupport
import Testing

@Suite struct HelpTests {
  static let commands = [
    "pack", "base", "plan", "run", "join", "merge", "unpack", "inspect", "verify", "repair", "compare", "report",
    "convert",
    "export",
    "add",
    "remove", "strip", "router", "route", "doctor", "completions", "manual",
  ]

  static let routers = ["fit", "import", "remove"].map { ["router", $0] }

  @Test(arguments: commands.map { [$0] } + routers + [[]])
  func showsAnExampleThatCanBeCopied(_ command: [String]) throws {
    let run = try Child(toolPath, command + ["--help"]).wait()
    #expect(run.code == 0)
    #expect(run.talk.isEmpty)
    let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex { $0.hasPrefix("Example") })
    let examples = lines[(start + 1)...].prefix { !$0.isEmpty }
    #expect(!examples.isEmpty)
    // A line that was too long goes on without the indentation.
    #expect(examples.allSatisfy { $0.hasPrefix("  tmpack ") }, "\(examples)")
  }

  @Test(
    arguments: commands.filter { !["router", "doctor", "completions", "manual"].contains($0) }.map { [$0] } + routers)
  func saysHowFilesAreRead(_ command: [String]) throws {
    #expect(try Child(toolPath, command + ["--help"]).wait().output.contains("--io <mode>"))
  }

  @Test func namesEveryCommand() throws {
    let run = try tmpack()
    #expect(run.code == 0)
    // Other names of a command follow behind a comma.
    for command in Self.commands {
      #expect(run.output.contains("\n  \(command) ") || run.output.contains("\n  \(command), "))
    }
  }

  @Test func namesTheCommandThatWasMeant() throws {
    let run = try tmpack("unpakc", "zoo.tmpack", "--json")
    #expect(run.code == 1 && run.output.isEmpty)
    guard case .string(let message) = try run.jsonError()["message"] else { Issue.record("no message"); return }
    #expect(message.hasSuffix("did you mean 'unpack'?"))
    #expect(try tmpack("help", "pack").code == 0)
  }

  /// Whatever else is wrong: arguments that are missing are most often those that were misspelt.
  @Test(arguments: commands.filter { $0 != "router" }.map { [$0] } + routers)
  func namesTheOptionThatWasMeant(_ command: [String]) throws {
    let call = (["tmpack"] + command).joined(separator: " ")
    let run = try Child(toolPath, command + ["--jsno"]).wait()
    #expect(run.code == 1 && run.output.isEmpty)
    #expect(run.talk == "tmpack: \(call) has no option '--jsno'; did you mean '--json'?\n")
  }

  @Test(arguments: [
    (["pack", "--bsae", "x", "--expert", "a=b", "-o", "x"], "'--bsae'; did you mean '--base'?"),
    (["unpack", "--treads", "2"], "'--treads'; did you mean '--threads'?"),
    (["unpack", "x", "--expert=a", "--weigths=a=1", "-o", "x", "--shared"], "'--weigths'; did you mean '--weights'?"),
    (["merge", "tise", "-output", "x"], "'-output'; did you mean '--output'?"),
    (["router", "import", "--clases", "a"], "'--clases'; did you mean '--classes'?"),
    (["pack", "--zzzzzz"], "'--zzzzzz'; see tmpack pack --help"),
    (["pack", "-xz"], "'-xz'; see tmpack pack --help"),
  ])
  func anOptionThatThereIsNotIsSaidFirst(_ arguments: [String], _ message: String) throws {
    let run = try Child(toolPath, arguments + ["--json"]).wait()
    #expect(run.code == 1 && run.output.isEmpty)
    guard case .string(let said) = try run.jsonError()["message"] else { Issue.record("no message"); return }
    #expect(said.hasSuffix(message), "\(said)")
  }

  /// Values that look like options, and what follows `--`, are none.
  @Test(arguments: [
    ["route", "x", "--temperature", "-1"], ["compare", "a", "--", "--zzz", "c"], ["pack", "-qo"],
    ["--generate-completion-script", "none"],
  ])
  func leavesOtherErrorsToTheParser(_ arguments: [String]) throws {
    let run = try Child(toolPath, arguments).wait()
    #expect(run.code == 1 && !run.talk.contains("has no option"), "\(run.talk)")
  }

  @Test func namesTheCommandOfARouterThatWasMeant() throws {
    let run = try tmpack("router", "fti", "zoo.tmpack")
    #expect(run.code == 1 && run.talk.hasSuffix("there is no command 'fti'; did you mean 'fit'?\n"), "\(run.talk)")
  }

  @Test func printsItsVersion() throws {
    let run = try tmpack("--version")
    #expect(run.code == 0 && run.output.hasPrefix("tmpack "))
  }

  @Test func rareOptionsAreListedOnDemand() throws {
    let (short, all) = (try tmpack("pack", "--help"), try tmpack("pack", "--help-all"))
    #expect(short.code == 0 && short.output.contains("--quality") && !short.output.contains("--ternary"))
    #expect(short.output.contains("--help-all") && all.code == 0 && all.output.contains("--ternary"))
  }

  @Test func theManualHasEveryCommandAndOption() throws {
    let page = try tmpack("manual").output
    #expect(page.hasPrefix(".TH TMPACK 1"))
    for command in Self.commands + ["router fit"] { #expect(page.contains(".SS \"tmpack \(command)\"\n")) }
    for option in ["quality", "ternary", "embedding", "dry\\-run"] { #expect(page.contains("\\fB\\-\\-\(option)\\fR")) }
  }

  /// As the scripts ask for them.
  @Test func expertsAreCompleted() throws {
    let folder = TemporaryFolder()
    let archive = try zoo(in: folder)
    let run = try tmpack(
      "---completion", "unpack", "--", "--expert", "2", "0", "tmpack", "unpack", archive, "--expert", "")
    #expect(
      run.code == 0 && run.output.split(separator: "\n").map(String.init) == ["a66", "b44"], "\(run.output) \(run.talk)"
    )
  }
}
