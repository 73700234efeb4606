import ArgumentParser

/// A command that scores the experts that come out of an archive, and what is to be kept of their own scores.
struct ScoreOptions: ParsableArguments {
  @Option(
    name: .customLong("eval"),
    help: ArgumentHelp(
      "Make the smallest archive that keeps the experts' scores: a shell command that scores the checkpoint {checkpoint} of the expert {expert}; its last word must be the number, and more is better.",
      valueName: "command"))
  var command: String?

  @Option(
    help: ArgumentHelp(
      "The share of each expert's own score that --eval is to keep (default: 0.99).", valueName: "share")
  )
  var keep: Double?

  static let standardShare = 0.99

  var share: Double { keep ?? Self.standardShare }

  func validate() throws {
    if keep != nil, command == nil { throw ValidationError("--keep belongs to --eval.") }
    guard share > 0, share < 1 else { throw ValidationError("--keep must be above 0 and below 1.") }
    if let command, !command.contains(ScoreCommand.placeholder) {
      throw ValidationError("The command of --eval must have \(ScoreCommand.placeholder) where the path belongs.")
    }
  }
}
