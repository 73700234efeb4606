import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackMerging

/// Settings to be tried, and the command that scores a checkpoint.
struct MergeSearchOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Values of a setting to try: from:to:step or a,b,c. Repeat for more settings.", valueName: "name=values"))
  var search: [SearchRange] = []

  @Option(
    name: .customLong("eval"),
    help: ArgumentHelp(
      "A shell command that scores the checkpoint {checkpoint}; its last word must be the number.",
      valueName: "command"))
  var command: String?

  func validate() throws {
    guard search.isEmpty == (command == nil) else { throw ValidationError("--search and --eval go together.") }
    if let command, !command.contains(ScoreCommand.placeholder) {
      throw ValidationError("The command of --eval must have \(ScoreCommand.placeholder) where the path belongs.")
    }
    let count = search.reduce(1.0) { $0 * Double($1.values.count) }
    guard count <= 10_000 else { throw ValidationError("--search has more than 10000 combinations.") }
    for (index, range) in search.enumerated() where search[..<index].contains(where: { $0.name == range.name }) {
      throw ValidationError("--search \(range.name) is given twice.")
    }
  }

  /// Merges and scores every combination; nil when nothing is to be searched.
  ///
  /// - Parameters:
  ///   - output: candidates are of its kind, a file or a folder, and beside it.
  ///   - merge: writes a candidate with such settings to a path.
  func best(
    for output: String, _ reporting: OutputOptions,
    merge: ([MergeSettings.Name: String], _ path: String) throws -> Void
  ) throws -> MergeSearch? {
    guard let command else { return nil }
    let score = ScoreCommand(command)
    let combinations = search.reduce([[:]]) { combinations, range in
      combinations.flatMap { combination in
        range.values.map { value in combination.merging([range.name: value]) { $1 } }
      }
    }
    let scratch = try ScratchFolder(besides: output)
    var trials: [MergeSearch.Trial] = []
    for (index, settings) in combinations.enumerated() {
      let path = FileTree.join(scratch.path, "\(index)-" + FileTree.lastComponent(output))
      try merge(settings, path)
      let value = try score.run(path)
      try FileTree.remove(path)
      trials.append(MergeSearch.Trial(settings: settings, score: value))
      if !reporting.quiet {
        let text = MergeSearch.text(settings)
        Console.talk("\(index + 1) of \(combinations.count): \(text): \(value.significant(6))")
      }
    }
    return MergeSearch(names: search.map(\.name), trials: trials)
  }
}

/// What a search found.
struct MergeSearch {
  struct Trial {
    let settings: [MergeSettings.Name: String]
    let score: Double
  }

  let names: [MergeSettings.Name]
  /// In the order in which they were tried; at least one.
  let trials: [Trial]

  /// The first with the largest score.
  var best: Trial { trials.reduce(trials[0]) { $1.score > $0.score ? $1 : $0 } }

  static func text(_ settings: [MergeSettings.Name: String]) -> String {
    settings.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
  }

  var table: TextTable {
    var table = TextTable(names.map(\.description) + ["score", ""], leftColumns: [])
    let best = best
    for trial in trials {
      let isBest = trial.settings == best.settings
      table.add(names.map { trial.settings[$0] ?? "" } + [trial.score.significant(6), isBest ? "best" : ""])
    }
    return table
  }

  var json: JSONValue {
    func object(_ trial: Trial) -> JSONValue {
      [
        "settings": .object(JSONObject(names.map { ($0.description, .string(trial.settings[$0] ?? "")) })),
        "score": .number(trial.score),
      ]
    }
    return ["trials": .array(trials.map(object)), "best": object(best)]
  }
}

/// `NAME=FROM:TO:STEP` or `NAME=VALUE,VALUE,…`.
struct SearchRange: ExpressibleByArgument {
  let name: MergeSettings.Name
  let values: [String]

  init?(argument: String) {
    guard let equals = argument.lastIndex(of: "=") else { return nil }
    name = MergeSettings.Name(parsing: String(argument[..<equals]))
    let text = argument[argument.index(after: equals)...]
    guard !name.setting.isEmpty, name.expert?.isEmpty != true, !text.isEmpty else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 1 {
      values = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      if values.contains("") { return nil }
      return
    }
    guard parts.count == 3, let from = Double(parts[0]), let to = Double(parts[1]), let step = Double(parts[2]),
      step > 0, from <= to, (to - from) / step < 10_000
    else { return nil }
    // Multiples, not sums, and rounded to what is sensible to write: 0.3, not 0.30000000000000004.
    let count = Int(((to - from) / step + 1e-9).rounded(.down))
    values = (0...count).map { index in
      let value = from + Double(index) * step
      return Double(value.significant(12)).map { String(describing: $0) } ?? String(describing: value)
    }
  }
}
