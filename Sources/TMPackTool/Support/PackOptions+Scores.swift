import ArgumentParser
import TMPackCheckpoints
import TMPackPacking
import TMPackReading
import TMPackTensorKit

extension PackOptions {
  /// Refuses what a search for scores would have to override.
  func validate(_ score: ScoreOptions) throws {
    if score.command != nil, factors.isTreatmentGiven {
      throw ValidationError("--eval looks for a --quality, so nothing else may say how large the factors are.")
    }
  }

  /// Looks for the `--quality` that keeps the experts' scores; nil when no command scores them.
  ///
  /// - Parameter output: candidates lie beside it.
  func search(
    _ score: ScoreOptions, _ model: Packer.SharedModel, _ base: Checkpoint?, _ inputs: [ExpertInput],
    besides output: String, _ reporting: OutputOptions
  ) throws -> ScoreSearchResult? {
    guard let command = score.command else { return nil }
    let sharedModel: (any TensorSource)? =
      if case .given(let checkpoint, _) = model { checkpoint.source } else { base?.source }
    let search = ScoreSearch(
      command: ScoreCommand(command), share: score.share, experts: inputs,
      sharedModel: shared.detached ? sharedModel : nil, reporting: reporting)
    return try search.run(besides: output) { quality, path in
      var options = self
      options.factors.rateOptions.quality = quality
      options.factors.lossless = quality == nil
      // What makes the experts exact does not show in their scores.
      options.factors.exact = false
      return try reporting.withProgress { show in
        try options.packer(model, inputs).pack(base: base, experts: inputs, to: path, progress: show)
      }
    }
  }
}

extension ScoreSearchResult {
  /// Says what was found, where nothing is to be made of it.
  func print(_ reporting: OutputOptions) {
    if reporting.json { Console.result(["score_search": json]) } else { Console.result(table) }
  }
}
