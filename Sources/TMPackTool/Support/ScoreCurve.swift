import TMPackByteIO
import TMPackJSON

/// What `--eval` has measured of an expert: its own score, and that of what came out of archives of several sizes. Provenance keeps
/// it, and `report` draws it.
struct ScoreCurve {
  /// What provenance calls it.
  static let option = "scores"

  let own: Double
  /// The share of its own score that was asked for.
  let keep: Double
  /// The smallest first.
  let trials: [(bytes: UInt64, score: Double)]

  init(own: Double, keep: Double, trials: [(bytes: UInt64, score: Double)]) {
    (self.own, self.keep) = (own, keep)
    self.trials = trials.sorted { $0 < $1 }
  }

  /// nil for what is none: provenance may hold anything.
  init?(_ text: String) {
    guard let object = try? JSONValue(parsing: Array(text.utf8)).asObject("scores"),
      let own = object["own"]?.finite, let keep = object["keep"]?.finite, own > 0,
      case .array(let list) = object["trials"]
    else { return nil }
    var trials: [(bytes: UInt64, score: Double)] = []
    for item in list {
      guard case .array(let pair) = item, pair.count == 2, case .integer(let bytes) = pair[0], bytes >= 0,
        let score = pair[1].finite
      else { return nil }
      trials.append((UInt64(bytes), score))
    }
    self.init(own: own, keep: keep, trials: trials)
  }

  var text: String {
    let json: JSONValue = [
      "keep": .number(keep), "own": .number(own),
      "trials": .array(trials.map { .array([JSONValue($0.bytes), .number($0.score)]) }),
    ]
    return json.compactText
  }
}

extension JSONValue {
  fileprivate var finite: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number) where number.isFinite: number
    default: nil
    }
  }
}
