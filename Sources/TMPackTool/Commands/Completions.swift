import ArgumentParser
import TMPackReading

struct Completions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completions",
    abstract: "Print completions for a shell.",
    discussion: """
      Examples:
        tmpack completions bash > ~/.local/share/bash-completion/completions/tmpack
        tmpack completions zsh > ~/.zfunc/_tmpack
        tmpack completions fish > ~/.config/fish/completions/tmpack.fish
      """)

  enum Shell: String, ExpressibleByArgument, CaseIterable {
    case bash, zsh, fish

    var completionShell: CompletionShell {
      switch self {
      case .bash: .bash
      case .zsh: .zsh
      case .fish: .fish
      }
    }
  }

  @Argument(help: ArgumentHelp("bash, zsh or fish.", valueName: "shell"))
  var shell: Shell

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() {
    let script = Tool.completionScript(for: shell.completionShell)
    if reporting.json { return Console.result(["shell": .string(shell.rawValue), "script": .string(script)]) }
    Console.result(script)
  }
}

struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the version.",
    discussion: """
      Example:
        tmpack version
      """)

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() {
    if reporting.json { return Console.result(["version": .string(TMPackVersion.number)]) }
    Console.result(TMPackVersion.tool)
  }
}
