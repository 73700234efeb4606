import TestSupport
import Testing

@Suite struct HelpTests {
  static let commands = [
    "pack", "plan", "run", "join", "merge", "unpack", "inspect", "verify", "repair", "compare", "convert", "export",
    "add",
    "remove", "strip", "router", "route", "doctor",
  ]

  @Test(arguments: commands.map { [$0] } + [[], ["router", "fit"], ["router", "import"], ["router", "remove"]])
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

  @Test func namesEveryCommand() throws {
    let run = try tmpack()
    #expect(run.code == 0)
    for command in Self.commands { #expect(run.output.contains("\n  \(command) ")) }
  }

  @Test func namesTheCommandThatWasMeant() throws {
    let run = try tmpack("unpakc", "zoo.tmpack", "--json")
    #expect(run.code == 1 && run.output.isEmpty)
    guard case .string(let message) = try run.jsonError()["message"] else { Issue.record("no message"); return }
    #expect(message.hasSuffix("did you mean 'unpack'?"))
    #expect(try tmpack("help", "pack").code == 0)
  }

  @Test func printsItsVersion() throws {
    let run = try tmpack("--version")
    #expect(run.code == 0 && run.output.hasPrefix("tmpack "))
  }
}
