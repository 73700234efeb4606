import TMPackMerging

/// The arguments of the command line, as the parser takes them.
enum Arguments {
  /// The parser calls the help with what is seldom needed so.
  static let all = CommandLine.arguments.dropFirst().map { $0 == "--help-all" ? "--help-hidden" : $0 }

  private static let takesSeveral = "--expert"
  /// Commands with models behind `--expert`, and whether a word of their own comes first: an archive, a method.
  private static let commands = ["pack": false, "plan": false, "add": true, "merge": true]

  /// What was meant by words where a command takes none; nil where nothing is known of it.
  static func meant(_ arguments: [String]) -> String? {
    guard let command = arguments.first else { return nil }
    let words = arguments.dropFirst().prefix { !$0.hasPrefix("-") }
    switch command {
    case "pack", "plan":
      guard let base = words.first else { return nil }
      let experts = words.dropFirst().joined(separator: " ")
      return
        "models are given by options: tmpack \(command) --base \(base) --expert \(experts.isEmpty ? "…" : experts) …"
    case "unpack":
      guard words.count == 2, let archive = words.first, let expert = words.last else { return nil }
      return "an expert is given by an option: tmpack unpack \(archive) --expert \(expert) …"
    case "export":
      guard let option = arguments.firstIndex(of: takesSeveral), option + 1 < arguments.count else { return nil }
      let archive = words.first ?? "ARCHIVE"
      return "archive and expert are one word: tmpack export --peft \(archive)#\(arguments[option + 1]) …"
    case "merge":
      guard words.count > 1, let method = words.first else { return nil }
      let isMethod = MergingMethodKind.all.contains { $0.name == method }
      let models = isMethod ? words.dropFirst() : words
      return
        "models are given by an option: tmpack merge \(isMethod ? method : "average") --expert \(models.joined(separator: " ")) …"
    default: return nil
    }
  }

  /// With `--expert` before each of several values that follow one: what a shell makes of `--expert *.safetensors`.
  ///
  /// Where a command takes a word of its own, and that does not stand first, one value follows, as ever.
  static func spread(_ arguments: [String]) -> [String] {
    guard let command = arguments.first, let hasWord = commands[command],
      !hasWord || arguments.dropFirst().first?.hasPrefix("-") == false
    else { return arguments }
    var spread: [String] = []
    var values: Int?
    for argument in arguments {
      if argument.hasPrefix("-"), argument != "-" {
        values = argument == takesSeveral ? 0 : nil
      } else if let count = values {
        if count > 0 { spread.append(takesSeveral) }
        values = count + 1
      }
      spread.append(argument)
    }
    return spread
  }
}
