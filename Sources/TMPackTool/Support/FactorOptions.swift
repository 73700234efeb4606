import ArgumentParser
import TMPackByteIO
import TMPackFactorization
import TMPackPacking
import TMPackTensorKit

/// What becomes of an expert's differences.
struct FactorOptions: ParsableArguments {
  @OptionGroup(title: "Size and quality") var rateOptions: RateOptions

  @Option(help: ArgumentHelp("Rank of low-rank factors, without a quantiser's search for the bytes.", valueName: "r"))
  var rank: Int?

  @Option(
    help: ArgumentHelp("Rank as a share of the shorter side, above 0 to 1.", valueName: "share", visibility: .hidden))
  var rankRatio: Double?

  @Option(
    help: ArgumentHelp(
      "Keep this share of the entries, the largest, instead of low-rank factors.", valueName: "share",
      visibility: .hidden))
  var density: Double?

  @Option(
    help: ArgumentHelp(
      "Keep the signs of this share of the entries of each matrix, the largest, and one scale.", valueName: "share",
      visibility: .hidden))
  var ternary: Double?

  @Flag(help: ArgumentHelp("Keep the sign of every entry of each matrix, and one scale.", visibility: .hidden))
  var signs = false

  @Option(
    defaultAsFlag: TALLMaskPlan.standardLambda, parsing: .next,
    help: ArgumentHelp(
      "Keep one vector for all experts, the sum of their differences, and for each a mask of the elements that it needs: the greater lambda, the fewer. For pack with --shared base.",
      valueName: "lambda", visibility: .hidden))
  var tallMasks: Double?

  @Flag(help: "Keep every tensor bit for bit.")
  var lossless = false

  @Flag(
    help:
      "Also store, apart and on top of any budget, what makes the experts bit-exact: unpack --exact uses it, strip --exact drops it."
  )
  var exact = false

  @Option(
    help: ArgumentHelp("How the factors of --rank and its like are stored (default: int8).", valueName: "dtype"))
  var factorDtype: FactorDType?

  @Option(
    help: ArgumentHelp("Approximate only tensors whose names match; the others are kept exactly.", valueName: "glob"))
  var include: [String] = []

  @Option(help: ArgumentHelp("Keep tensors whose names match exactly.", valueName: "glob"))
  var exclude: [String] = []

  @Option(
    help: ArgumentHelp(
      "Another treatment for tensors whose names match: exact, or rank:R, rank-ratio:S, density:D, ternary:D, signs or dense, and dtype:T, and stack or matrix, as which tensors of three dimensions and more are taken; joined by commas.",
      valueName: "glob=treatment", visibility: .hidden))
  var override: [String] = []

  @Option(help: ArgumentHelp("zstd's level, 1 to 19.", valueName: "n", visibility: .hidden))
  var level = FactorOptions.standardLevel

  static let standardLevel = 3

  private var treatments: Int {
    [
      rank != nil, rankRatio != nil, density != nil, ternary != nil, signs, tallMasks != nil, lossless,
      rateOptions.isGiven,
    ].count { $0 }
  }

  var isTreatmentGiven: Bool { treatments > 0 || factorDtype != nil }

  /// Whether nothing says what the factors are to be.
  private var isStandard: Bool { !isTreatmentGiven }

  /// nil where no rate is to be kept.
  func rate() throws -> RateControl? { isStandard ? try RateOptions.standard() : try rateOptions.control() }

  func validate() throws {
    if treatments > 1 {
      throw ValidationError(
        "--rank, --rank-ratio, --density, --ternary, --signs, --tall-masks, --lossless and one of --quality, --budget, --budget-per-expert and --error exclude each other."
      )
    }
    if lossless, exact { throw ValidationError("--lossless is exact already.") }
    if lossless || rateOptions.isGiven, factorDtype != nil {
      throw ValidationError("--factor-dtype belongs to --rank, --rank-ratio and --density.")
    }
    guard (1...19).contains(level) else { throw ValidationError("--level must be 1 to 19.") }
  }

  func rules() throws -> TensorRules {
    let overrides = try override.map(Self.parseOverride)
    return TensorRules(
      try standard(),
      overrides: overrides.compactMap { own in own.treatment.map { (own.pattern, $0) } },
      including: try include.map { try Glob($0) }, excluding: try exclude.map { try Glob($0) },
      stacking: overrides.compactMap { own in own.stacking.map { (own.pattern, $0) } })
  }

  private func standard() throws -> TensorTreatment {
    if lossless { return .exact }
    if rateOptions.isGiven || isStandard { return .controlled }
    if let tallMasks { return .tallMask(try TALLMaskPlan(lambda: tallMasks, dtype: factorDtype ?? .int8)) }
    return .factor(
      try FactorPlan(method, dtype: factorDtype ?? .int8, keepsKnownRank: rank == nil && rankRatio == nil))
  }

  private var method: FactorPlan.Method {
    if let rankRatio { return .lowRankRatio(rankRatio) }
    if let density { return .sparse(density: density) }
    if let ternary { return .ternary(density: ternary) }
    if signs { return .signs }
    return .lowRank(rank: rank ?? 16)
  }

  /// Patterns that match no tensor of any expert, as they were given: likely mistakes.
  func unusedPatterns(_ experts: [ExpertInput]) -> [String] {
    func matchesNone(_ pattern: Substring) -> Bool {
      guard let glob = try? Glob(String(pattern)) else { return false }
      return !experts.contains { $0.checkpoint.source.tensors.contains { glob.matches($0.name) } }
    }
    let globs: [(text: String, glob: Substring)] =
      include.map { ("--include \($0)", $0[...]) } + exclude.map { ("--exclude \($0)", $0[...]) }
      + override.map { ("--override \($0)", $0[..<($0.lastIndex(of: "=") ?? $0.endIndex)]) }
    return globs.filter { matchesNone($0.glob) }.map(\.text)
  }

  /// What a pattern that matches no tensor may have been meant to be: patterns are of whole names.
  ///
  /// - Parameter text: as `unusedPatterns` gives it.
  static func hint(_ text: String, _ experts: [ExpertInput]) -> String {
    let pattern = text.drop { $0 != " " }.dropFirst()
    let glob = text.hasPrefix("--override") ? pattern[..<(pattern.lastIndex(of: "=") ?? pattern.endIndex)] : pattern
    let wider = "*\(glob)*"
    guard !glob.contains("*"), let wide = try? Glob(wider) else { return "" }
    let count = experts.map { $0.checkpoint.source.tensors.count { wide.matches($0.name) } }.max() ?? 0
    return count > 0 ? "; '\(wider)' matches \(count)" : ""
  }

  /// What becomes of adapters; only where nothing says what the factors are to be.
  static let productsKey = "products"
  static let keptProducts = "own-rank"

  /// For provenance.
  var record: [String: String] {
    var record = ["level": String(level)]
    if lossless {
      record["factor"] = "lossless"
    } else if isStandard {
      record["quality"] = RateOptions.Preset.high.rawValue
      record[Self.productsKey] = Self.keptProducts
    } else if rateOptions.isGiven {
      record.merge(rateOptions.record) { first, _ in first }
    } else if let tallMasks {
      record["tall-masks"] = String(describing: tallMasks)
      record["factor-dtype"] = (factorDtype ?? .int8).rawValue
    } else {
      switch method {
      case .lowRank(let rank): record["rank"] = String(rank)
      case .lowRankRatio(let share): record["rank-ratio"] = String(describing: share)
      case .sparse(let density): record["density"] = String(describing: density)
      case .ternary(let density): record["ternary"] = String(describing: density)
      case .signs: record["factor"] = "signs"
      case .dense: record["factor"] = "dense"
      }
      record["factor-dtype"] = (factorDtype ?? .int8).rawValue
    }
    if exact { record["exact"] = "true" }
    if !include.isEmpty { record["include"] = include.joined(separator: " ") }
    if !exclude.isEmpty { record["exclude"] = exclude.joined(separator: " ") }
    if !override.isEmpty { record["override"] = override.joined(separator: " ") }
    return record
  }

  /// - Returns: nil for what is left as it is.
  private static func parseOverride(
    _ text: String
  ) throws -> (pattern: Glob, treatment: TensorTreatment?, stacking: Stacking?) {
    func refusal(_ why: String) -> StorageError { StorageError(.invalidArgument, "--override '\(text)': \(why)") }
    guard let equals = text.lastIndex(of: "=") else { throw refusal("is not of the form GLOB=TREATMENT") }
    let pattern = try Glob(String(text[..<equals]))
    let treatment = text[text.index(after: equals)...]
    if treatment == "exact" { return (pattern, .exact, nil) }
    var stacking: Stacking?
    var method: FactorPlan.Method?
    var dtype: FactorDType?
    for part in treatment.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: ":", maxSplits: 1).map(String.init)
      let value = sides.count == 2 ? sides[1] : ""
      if sides.first == "dtype" {
        guard dtype == nil else { throw refusal("has two dtypes") }
        dtype = FactorDType(argument: value)
        if dtype == nil { throw refusal("has the unknown dtype '\(value)'") }
        continue
      }
      if let own = Stacking(rawValue: String(part)), own != .automatic {
        guard stacking == nil else { throw refusal("is taken in two ways") }
        stacking = own
        continue
      }
      guard method == nil else { throw refusal("has two treatments, the second '\(part)'") }
      switch sides.first {
      case "exact" where sides.count == 1: throw refusal("'exact' goes with nothing else")
      case "dense" where sides.count == 1: method = .dense
      case "rank": method = Int(value).map { .lowRank(rank: $0) }
      case "rank-ratio": method = Double(value).map { .lowRankRatio($0) }
      case "density": method = Double(value).map { .sparse(density: $0) }
      case "ternary": method = Double(value).map { .ternary(density: $0) }
      case "signs" where sides.count == 1: method = .signs
      default: throw refusal("has the unknown part '\(part)'")
      }
      if method == nil { throw refusal("'\(value)' is not a number") }
    }
    guard method != nil || dtype != nil || stacking == nil else { return (pattern, nil, stacking) }
    return (pattern, .factor(try FactorPlan(method ?? .lowRank(rank: 16), dtype: dtype ?? .int8)), stacking)
  }
}

extension FactorDType: ExpressibleByArgument {
  public static var allValueStrings: [String] { ["f32", "bf16", "f16", "int8", "int4"] }

  public init?(argument: String) {
    switch argument.lowercased() {
    case "f32": self = .f32
    case "bf16": self = .bf16
    case "f16": self = .f16
    case "int8", "i8": self = .int8
    case "int4", "i4": self = .int4
    default: return nil
    }
  }
}
