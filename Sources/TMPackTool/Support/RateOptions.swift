import ArgumentParser
import TMPackPacking

extension RateControl.Objective: ExpressibleByArgument {}
extension RateControl.Codec: ExpressibleByArgument {}

/// One knob for coarse, entropy-coded factors: a size, an error or a preset.
struct RateOptions: ParsableArguments {
  /// What the table of measured scores in docs/packing.md calls them.
  enum Preset: String, ExpressibleByArgument, CaseIterable {
    case low
    case medium
    case high
    case nearLossless = "near-lossless"

    var target: RateControl.Target {
      switch self {
      case .low: .quality(16)
      case .medium: .quality(24)
      case .high: .quality(50)
      case .nearLossless: .error(0.05)
      }
    }
  }

  /// A preset, or how many components each matrix has.
  enum Quality: ExpressibleByArgument, Equatable {
    case preset(Preset)
    case components(Double)

    init?(argument: String) {
      if let preset = Preset(rawValue: argument) {
        self = .preset(preset)
      } else {
        guard let count = Double(argument), count > 0, count < 0x1p20 else { return nil }
        self = .components(count)
      }
    }

    static var allValueStrings: [String] { Preset.allCases.map(\.rawValue) }

    /// As it is given.
    var text: String {
      switch self {
      case .preset(let preset): preset.rawValue
      case .components(let count): count == count.rounded() ? String(Int(count)) : String(describing: count)
      }
    }

    var target: RateControl.Target {
      switch self {
      case .preset(let preset): preset.target
      case .components(let count): .quality(count)
      }
    }
  }

  @Option(
    help: ArgumentHelp(
      "A preset: low, medium, high or near-lossless; or a number of components (default: high, and adapters exact at their own rank).",
      valueName: "preset"))
  var quality: Quality?

  @Option(help: ArgumentHelp("Size of the whole archive, such as 20MB.", valueName: "size"))
  var budget: ByteSize?

  @Option(help: ArgumentHelp("Bytes that each expert takes, such as 340kB.", valueName: "size"))
  var budgetPerExpert: ByteSize?

  @Option(
    help: ArgumentHelp(
      "Error of each expert, relative to its difference from the shared model, such as 0.3.", valueName: "number"))
  var error: Double?

  @Option(
    help: ArgumentHelp(
      "Spend the bytes for the experts' scores (balanced) or the least error (default: balanced; for --error: least-error).",
      valueName: "objective", visibility: .hidden))
  var objective: RateControl.Objective?

  @Option(
    help: ArgumentHelp(
      "Force low-rank, entrywise or layered (the one, then the other) quantised factors (default: low-rank or entrywise, the cheaper one of each tensor).",
      valueName: "codec", visibility: .hidden))
  var codec: RateControl.Codec?

  var isGiven: Bool { quality != nil || budget != nil || budgetPerExpert != nil || error != nil }

  func validate() throws {
    try budget?.checkUnit(of: "--budget")
    try budgetPerExpert?.checkUnit(of: "--budget-per-expert")
    if [quality != nil, budget != nil, budgetPerExpert != nil, error != nil].count(where: { $0 }) > 1 {
      throw ValidationError("--quality, --budget, --budget-per-expert and --error exclude each other.")
    }
    if !isGiven, objective != nil || codec != nil {
      throw ValidationError("--objective and --codec belong to --quality, --budget, --budget-per-expert and --error.")
    }
  }

  func control() throws -> RateControl? {
    let target: RateControl.Target
    if let quality {
      target = quality.target
    } else if let budget {
      target = .archiveBytes(budget.bytes)
    } else if let budgetPerExpert {
      target = .bytesPerExpert(budgetPerExpert.bytes)
    } else if let error {
      target = .error(error)
    } else {
      return nil
    }
    let isErrorTarget = if case .error = target { true } else { false }
    return try RateControl(
      target, objective: objective ?? (isErrorTarget ? .leastError : .balanced),
      codecs: codec.map { [$0] } ?? RateControl.Codec.standard)
  }

  /// What holds where nothing says how large the factors are: scores as they were, and adapters, merged or not, as they are.
  static func standard() throws -> RateControl { try RateControl(Preset.high.target, keepsProducts: true) }

  /// For provenance.
  var record: [String: String] {
    var record: [String: String] = [:]
    record["quality"] = quality?.text
    record["budget"] = budget.map { String($0.bytes) }
    record["budget-per-expert"] = budgetPerExpert.map { String($0.bytes) }
    record["error"] = error.map { String(describing: $0) }
    record["objective"] = objective?.rawValue
    record["codec"] = codec?.rawValue
    return record
  }
}
