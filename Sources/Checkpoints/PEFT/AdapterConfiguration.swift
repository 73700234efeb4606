import TMPackByteIO
import TMPackJSON

/// What `adapter_config.json` says of a LoRA adapter, as far as it bears on the weights.
///
/// Source: peft's `LoraConfig`, 0.4 to 0.21.2. What would change the result and is not implemented is refused, and so is
/// what is not known; what only concerns training is passed over.
package struct AdapterConfiguration: Sendable {
  package static let fileName = "adapter_config.json"

  /// r and α of modules that no pattern names.
  let rank: Int
  let alpha: Double
  /// Of modules by their whole names, before any pattern.
  private var ofModules: [ExactString: (rank: Int, alpha: Double)] = [:]
  private let rankPatterns: [(pattern: ModulePattern, rank: Int)]
  private let alphaPatterns: [(pattern: ModulePattern, alpha: Double)]
  /// Whether the scaling is α / √r instead of α / r (Kalajdzievski, 2023, arXiv 2312.03732).
  let isRankStabilized: Bool
  /// Whether weights are [in, out], as GPT-2's `Conv1D` has them.
  package let isTransposed: Bool
  /// Whether columns are scaled to a magnitude (Liu et al., 2024, arXiv 2402.09353).
  let isDecomposed: Bool
  /// Whether updates have biases, in `lora_B.bias`.
  let hasBiases: Bool
  package let baseModelName: String?
  /// What the model was trained for, as `SEQ_CLS`.
  package let taskType: String?
  /// Which rows of embeddings are replaced.
  let trainableTokens: TrainableTokens
  /// Modules that are trained whole: names, or ends of names behind a dot.
  private let modulesToSave: [String]
  /// Parameters that are adapted instead of modules: names, or ends of names behind a dot.
  private let targetParameters: [String]
  /// Of modules that have updates.
  let selection: ModuleSelection
  /// Whether tied modules stay tied when one of them is trained whole.
  package let keepsTies: Bool

  /// Rows of embeddings that are trained, as `trainable_token_indices` has them.
  enum TrainableTokens: Sendable {
    /// Of the only module that has any.
    case rows([Int])
    /// By a module's name, or its end behind a dot.
    case byModule([(module: String, rows: [Int])])
  }

  /// Of an adapter that says for each module what its rank and α are; see `set`.
  init(isDecomposed: Bool) {
    (rank, alpha) = (1, 1)
    (rankPatterns, alphaPatterns) = ([], [])
    (isRankStabilized, isTransposed, hasBiases) = (false, false, false)
    self.isDecomposed = isDecomposed
    (baseModelName, taskType) = (nil, nil)
    trainableTokens = .byModule([])
    (modulesToSave, targetParameters) = ([], [])
    selection = .all
    keepsTies = false
  }

  mutating func set(_ module: String, rank: Int, alpha: Double) { ofModules[ExactString(module)] = (rank, alpha) }

  /// - Throws: `malformed`; `unsupportedFeature` for another kind of adapter, or one that is not simply added to the base.
  init(_ object: JSONObject) throws(StorageError) {
    func flag(_ name: String) throws(StorageError) -> Bool {
      switch object[name] {
      case nil, .null: return false
      case .bool(let value): return value
      default: throw StorageError(.malformed, "\"\(name)\" must be true or false")
      }
    }
    let kind = try object.required("peft_type", of: "the adapter's configuration").asString("\"peft_type\"")
    guard kind == "LORA" else {
      throw StorageError(.unsupportedFeature, "is an adapter of type \(kind); LORA, LOHA and LOKR can be merged")
    }
    try Self.refuseUnsupported(object)
    rank = try Self.rank(try object.required("r", of: "the adapter's configuration"), "\"r\"")
    alpha = try Self.alpha(try object.required("lora_alpha", of: "the adapter's configuration"), "\"lora_alpha\"")
    rankPatterns = try Self.patterns(object, "rank_pattern").map { entry throws(StorageError) in
      (entry.pattern, try Self.rank(entry.value, "\"\(entry.pattern.text)\" of \"rank_pattern\""))
    }
    alphaPatterns = try Self.patterns(object, "alpha_pattern").map { entry throws(StorageError) in
      (entry.pattern, try Self.alpha(entry.value, "\"\(entry.pattern.text)\" of \"alpha_pattern\""))
    }
    isRankStabilized = try flag("use_rslora")
    isTransposed = try flag("fan_in_fan_out")
    isDecomposed = try flag("use_dora")
    hasBiases = try flag("lora_bias")
    trainableTokens = try Self.trainableTokens(object["trainable_token_indices"])
    modulesToSave = try Self.names(object, "modules_to_save")
    targetParameters = try Self.names(object, "target_parameters")
    // Where ties are kept, a file has updates of both modules, and the configuration names one.
    selection = try flag("ensure_weight_tying") ? .all : ModuleSelection(object)
    // peft 0.21.2 heeds it for modules of these names alone.
    keepsTies =
      try flag("ensure_weight_tying")
      && modulesToSave.contains { name in ["embed_tokens", "lm_head"].contains { Self.ends(name, with: $0) } }
    if case .string(let name) = object["base_model_name_or_path"] { baseModelName = name } else { baseModelName = nil }
    if case .string(let task) = object["task_type"] { taskType = task } else { taskType = nil }
  }

  /// r of a module, by peft's rules: the first pattern that fits.
  package func rank(of module: String) -> Int {
    ofModules[ExactString(module)]?.rank ?? rankPatterns.first { $0.pattern.matches(module) }?.rank ?? rank
  }

  /// What B · A is multiplied by: α / r, or α / √r.
  package func scale(of module: String) -> Float { Float(scaling(of: module, rank: rank(of: module))) }

  /// The same of a module of that rank.
  func scaling(of module: String, rank: Int) -> Double {
    let alpha =
      ofModules[ExactString(module)]?.alpha ?? alphaPatterns.first { $0.pattern.matches(module) }?.alpha ?? alpha
    return alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
  }

  /// Whether a module is trained whole, by itself or in a module around it.
  package func isSaved(_ module: String) -> Bool {
    modulesToSave.contains { name in Self.names(of: module).contains { Self.ends($0, with: name) } }
  }

  /// A module's name and those of the modules around it.
  private static func names(of module: String) -> [String] {
    module.indices.filter { module[$0] == "." }.map { String(module[..<$0]) } + [module]
  }

  private static func ends(_ module: String, with name: String) -> Bool {
    module.hasSameBytes(as: name) || module.hasSuffix("." + name)
  }

  /// Parameters of a module that are adapted by themselves, if the module has them: their own names, sorted.
  package func parameters(of module: String) -> [String] {
    let names = targetParameters.compactMap { target -> String? in
      guard let dot = target.lastIndex(of: ".") else { return target }
      return Self.ends(module, with: String(target[..<dot])) ? String(target[target.index(after: dot)...]) : nil
    }
    return Set(names).sorted { $0.precedesInBytes($1) }
  }

  private static func names(_ object: JSONObject, _ member: String) throws(StorageError) -> [String] {
    guard let value = object[member], value != .null else { return [] }
    return try value.asArray("\"\(member)\"").map { name throws(StorageError) in
      try name.asString("a name in \"\(member)\"")
    }
  }

  /// The rows of a module's weight that the adapter replaces; nil if it has none of that module.
  func trainedRows(of module: String) -> [Int]? {
    switch trainableTokens {
    case .rows(let rows): rows
    case .byModule(let entries):
      // Of a module that is tied to the only one that is named, peft may save the same rows.
      entries.first { Self.ends(module, with: $0.module) }?.rows ?? (entries.count == 1 ? entries[0].rows : nil)
    }
  }

  private static func rank(_ value: JSONValue, _ what: String) throws(StorageError) -> Int {
    let rank = try value.asCount(what)
    guard rank > 0 else { throw StorageError(.malformed, "\(what) is 0; a rank is at least 1") }
    try Limits.check(rank, atMost: Limits.adapterRank, what)
    return rank
  }

  static func alpha(_ value: JSONValue, _ what: String) throws(StorageError) -> Double {
    let alpha: Double
    switch value {
    case .integer(let integer): alpha = Double(integer)
    case .number(let number): alpha = number
    default: throw StorageError(.malformed, "\(what) must be a number")
    }
    guard alpha.magnitude < 0x1p64 else { throw StorageError(.malformed, "\(what) is \(alpha), beyond all reason") }
    return alpha
  }

  private static func trainableTokens(_ value: JSONValue?) throws(StorageError) -> TrainableTokens {
    let what = "\"trainable_token_indices\""
    func rows(_ value: JSONValue) throws(StorageError) -> [Int] {
      try value.asArray(what).map { row throws(StorageError) in try row.asCount("a row in \(what)") }
    }
    switch value {
    case nil, .null: return .byModule([])
    case .array(_)?: return .rows(try rows(value!))
    case .object(let object)?:
      return .byModule(
        try object.members.map { member throws(StorageError) in (member.name, try rows(member.value)) })
    default: throw StorageError(.malformed, "\(what) must be an array or an object")
    }
  }

  private static func patterns(
    _ object: JSONObject, _ name: String
  ) throws(StorageError) -> [(pattern: ModulePattern, value: JSONValue)] {
    guard let value = object[name], value != .null else { return [] }
    return try value.asObject("\"\(name)\"").members.map { member throws(StorageError) in
      (try ModulePattern(member.name), member.value)
    }
  }
}
