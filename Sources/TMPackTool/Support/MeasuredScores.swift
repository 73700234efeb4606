import TMPackArchiveFormat

/// What share of task scores was kept at what loss, where that was measured: four fine-tunes of a transformer of 3.2 M parameters
/// (Benchmarks/RESULTS.md, “Losses and scores”).
struct MeasuredScores {
  static let origin = "four small fine-tunes (docs/packing.md)"

  private typealias Point = (loss: Double, share: Double)

  /// Of factors that were made for the least error.
  private static let ofLeastError: [Point] = [
    (0.098, 1.000), (0.196, 0.999), (0.294, 0.993), (0.391, 0.986), (0.487, 0.967), (0.584, 0.936), (0.681, 0.854),
    (0.779, 0.775), (0.877, 0.652),
  ]
  /// Of `--rank`.
  private static let ofRanks: [Point] = [
    (0.254, 0.997), (0.393, 0.991), (0.538, 0.968), (0.674, 0.908), (0.793, 0.837),
  ]
  /// Of coarse steps that shrink nothing, which lose more of the numbers and less of the scores (Spec/decisions/0023).
  private static let ofPresets: [Point] = [(0.049, 1.000), (0.544, 0.992), (0.754, 0.964), (0.868, 0.939)]

  private let points: [Point]

  /// nil for factors that were not measured.
  ///
  /// - Parameter options: with which an expert was packed, as provenance records them.
  init?(options: [String: String]) {
    let others = ["density", "ternary", "factor", "tall-masks"]
    guard others.allSatisfy({ options[$0] == nil }) else { return nil }
    let isRate = ["quality", "budget", "budget-per-expert", "error"].contains { options[$0] != nil }
    let isForError = options["error"] != nil || options["quality"] == RateOptions.Preset.nearLossless.rawValue
    let objective = options["objective"] ?? (isForError ? "least-error" : "balanced")
    points = !isRate ? Self.ofRanks : objective == "balanced" ? Self.ofPresets : Self.ofLeastError
  }

  /// A share below which more bytes are worth a thought.
  private static let good = 0.95

  /// In words: `about 97 %`.
  func kept(at loss: Double) -> String {
    guard let share = share(at: loss) else { return "less than \(Self.percent(points[points.count - 1].share))" }
    return share > 0.99 ? "more than 99 %" : "about \(Self.percent(share))"
  }

  func isMuch(_ loss: Double) -> Bool { share(at: loss).map { $0 < Self.good } ?? true }

  /// Between what was measured on a straight line; nil above all of it.
  private func share(at loss: Double) -> Double? {
    guard let next = points.firstIndex(where: { $0.loss >= loss }) else { return nil }
    let (low, high) = (points[max(0, next - 1)], points[next])
    let position = next > 0 ? (loss - low.loss) / (high.loss - low.loss) : 0
    return low.share + position * (high.share - low.share)
  }

  private static func percent(_ share: Double) -> String { "\((share * 100).fixed(0)) %" }
}
