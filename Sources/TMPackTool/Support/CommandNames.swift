import ArgumentParser
import TMPackByteIO
import TMPackJSON

/// The names that a command line may use: a command's options, and the commands under it.
///
/// The parser looks for unknown options last, behind arguments that are missing and values that contradict each other:
/// an option that is misspelt it takes for one that was not given. So a command line that it refuses is looked at again.
struct CommandNames {
  /// As it is called: `tmpack router fit`.
  private let call: String
  /// With their dashes.
  private let options: [String]
  private let commands: [(name: String, names: CommandNames)]

  /// The names of a tool and of everything under it.
  init(of tool: (some ParsableCommand).Type) throws(StorageError) {
    let dump = try JSONValue(parsing: Array(tool._dumpHelp().utf8)).asObject("the help")
    try self.init(dump.required("command", of: "the help"), under: "")
  }

  private init(_ json: JSONValue, under parent: String) throws(StorageError) {
    let command = try json.asObject("a command")
    let call = try parent + command.required("commandName", of: "a command").asString("a name")
    var options: [String] = []
    for argument in try command["arguments"]?.asArray("arguments") ?? [] {
      for json in try argument.asObject("an argument")["names"]?.asArray("names") ?? [] {
        let name = try json.asObject("a name")
        let dashes = name["kind"] == "long" ? "--" : "-"
        options.append(dashes + (try name.required("name", of: "a name").asString("a name")))
      }
    }
    self.call = call
    self.options = options
    commands = try (command["subcommands"]?.asArray("commands") ?? []).map { json throws(StorageError) in
      let name = try json.asObject("a command").required("commandName", of: "a command").asString("a name")
      return (name, try CommandNames(json, under: call + " "))
    }
  }

  /// The first option or command of the arguments that there is not, and what was meant perhaps; nil where all are known.
  func misspelling(in arguments: some Sequence<String>) -> StorageError? {
    var command = self
    for argument in arguments {
      if argument == "--" { break }
      if argument.isOption {
        if let error = command.misspelling(ofOption: argument) { return error }
      } else if !command.commands.isEmpty {
        guard let next = command.commands.first(where: { $0.name == argument }) else {
          return command.misspelling(ofCommand: argument)
        }
        command = next.names
      }
    }
    return nil
  }

  private func misspelling(ofCommand name: String) -> StorageError {
    let suggestion = name.suggestion(among: commands.map(\.name))
    return StorageError(
      .invalidArgument, "there is no command '\(name)'" + (suggestion.isEmpty ? "; see \(call) --help" : suggestion))
  }

  private func misspelling(ofOption argument: String) -> StorageError? {
    let given = String(argument.prefix { $0 != "=" })
    if options.contains(given) || isCluster(given) || Self.ofTheParser.contains(given) { return nil }
    let bare = given.withoutDashes
    let meant = bare.nearest(among: options.map(\.withoutDashes)).flatMap { nearest in
      options.first { $0.withoutDashes == nearest }
    }
    let hint = meant.map { "; did you mean '\($0)'?" } ?? "; see \(call) --help"
    return StorageError(.invalidArgument, "\(call) has no option '\(given)'\(hint)")
  }

  /// Options that the parser understands by itself, and does not list.
  private static let ofTheParser = ["--generate-completion-script", "--experimental-dump-help", "--help-hidden"]

  /// Several options of one letter behind one dash.
  private func isCluster(_ given: String) -> Bool {
    !given.hasPrefix("--") && given.dropFirst().allSatisfy { options.contains("-\($0)") }
  }
}

extension String {
  /// Begins with a dash, and is neither a dash alone nor a negative number.
  fileprivate var isOption: Bool {
    guard hasPrefix("-"), let second = dropFirst().first else { return false }
    return !second.isNumber && second != "."
  }

  fileprivate var withoutDashes: String { String(drop { $0 == "-" }) }
}
