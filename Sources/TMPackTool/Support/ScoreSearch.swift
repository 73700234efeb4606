import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackPacking
import TMPackReading
import TMPackTensorKit

/// Looks for the fewest components with which every expert keeps a share of its own score: packs, rebuilds, and runs a command.
struct ScoreSearch {
  let command: ScoreCommand
  let share: Double
  let experts: [ExpertInput]
  /// Of a detached archive.
  let sharedModel: (any TensorSource)?
  let reporting: OutputOptions

  /// Components of `--quality medium`; twice as many as any matrix makes use of where scores can be kept at all.
  private static let components = LeastCount(start: 24, limit: 1024)

  /// - Parameters:
  ///   - output: candidates lie beside it.
  ///   - pack: makes an archive with such factors; nil keeps all exactly.
  func run(
    besides output: String, pack: (_ quality: RateOptions.Quality?, _ path: String) throws -> PackSummary
  ) throws -> ScoreSearchResult {
    let scratch = try ScratchFolder(besides: output)
    func tried(_ quality: RateOptions.Quality?) throws -> ScoreSearchResult.Trial {
      let path = FileTree.join(scratch.path, "candidate.tmpack")
      let summary = try pack(quality, path)
      let scores = try scores(path, scratch.path)
      try FileTree.remove(path)
      return .init(quality: quality, bytes: summary.experts.map(\.summary.bytes), scores: scores)
    }
    let own = try tried(nil)
    for (expert, score) in zip(experts, own.scores) where score <= 0 {
      throw StorageError(
        .invalidArgument, "has the score \(score.significant(6)): a share can only be kept of one above 0",
        expert: expert.name)
    }
    say("the experts' own scores: \(own.scores.map { $0.significant(6) }.joined(separator: ", "))")
    var result = ScoreSearchResult(names: experts.map(\.name), share: share, own: own)
    let found = try Self.components.find { count in
      let trial = try tried(.components(Double(count)))
      result.trials.append(trial)
      say("\(count) components: \(ByteSize.text(trial.meanBytes)) an expert, \(result.kept(trial).percent) kept")
      return result.keeps(trial)
    }
    guard found != nil else {
      throw StorageError(
        .invalidArgument,
        "no number of components keeps \(share.percent) of each expert's score; what comes nearest is \(result.bestShare.percent)"
      ).with(.lossless)
    }
    return result
  }

  private func scores(_ path: String, _ folder: String) throws -> [Double] {
    let reconstructor = try Reconstructor(Archive(path, sharedModel: sharedModel), memoryLimit: 0)
    return try experts.map { expert in
      let mix = try reconstructor.mix(.expert(expert.name))
      let name = FileTree.lastComponent(expert.checkpoint.path)
      let isFolder = FileTree.kind(of: expert.checkpoint.path) == .folder
      let checkpoint = FileTree.join(folder, isFolder ? "\(expert.name)-model" : name)
      try CheckpointDestination(checkpoint)
        .write(mix.named(.source), carriedFiles: isFolder ? mix.files.map(\.content) : [])
      defer { try? FileTree.remove(checkpoint) }
      return try located(expert: expert.name) { () throws(StorageError) in
        try command.run(checkpoint, expert: expert.name)
      }
    }
  }

  private func say(_ text: String) { if !reporting.quiet { Console.talk(text) } }
}

/// What was tried, and what is to be taken.
struct ScoreSearchResult {
  struct Trial {
    /// nil keeps all exactly.
    let quality: RateOptions.Quality?
    /// Of each expert.
    let bytes: [UInt64]
    let scores: [Double]

    var meanBytes: UInt64 { bytes.reduce(0, +) / UInt64(max(1, bytes.count)) }
  }

  let names: [String]
  let share: Double
  let own: Trial
  /// In the order in which they were tried.
  var trials: [Trial] = []

  /// The share that each expert keeps.
  private func shares(_ trial: Trial) -> [Double] { zip(trial.scores, own.scores).map { $0 / $1 } }

  /// The least of them.
  func kept(_ trial: Trial) -> Double { shares(trial).min() ?? 0 }

  func keeps(_ trial: Trial) -> Bool { kept(trial) >= share }

  var bestShare: Double { trials.map(kept).max() ?? 0 }

  /// The smallest that keeps the share; nil where none does.
  var best: Trial? { trials.filter(keeps).min { $0.meanBytes < $1.meanBytes } }

  var table: TextTable {
    var table = TextTable(["components", "an expert"] + names + [""], leftColumns: [])
    let sorted = trials.sorted { $0.meanBytes < $1.meanBytes }
    for trial in sorted {
      let isBest = trial.quality == best?.quality
      table.add(
        [trial.quality?.text ?? "", ByteSize.text(trial.meanBytes)] + shares(trial).map(\.percent)
          + [isBest ? "smallest that keeps \(share.percent)" : ""])
    }
    return table
  }

  /// Of each expert, for provenance.
  var curves: [String: ScoreCurve] {
    var curves: [String: ScoreCurve] = [:]
    for (index, name) in names.enumerated() {
      curves[name] = ScoreCurve(
        own: own.scores[index], keep: share, trials: trials.map { ($0.bytes[index], $0.scores[index]) })
    }
    return curves
  }

  var json: JSONValue {
    func object(_ trial: Trial) -> JSONValue {
      var object: JSONObject = [
        "bytes": .array(trial.bytes.map { JSONValue($0) }), "scores": .array(trial.scores.map { .number($0) }),
        "kept": .number(kept(trial)),
      ]
      object["quality"] = trial.quality.map { .string($0.text) }
      return .object(object)
    }
    return [
      "keep": .number(share), "own": .array(own.scores.map { .number($0) }), "trials": .array(trials.map(object)),
      "best": best.map(object) ?? .null,
    ]
  }
}
