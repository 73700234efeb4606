import ByteIO

/// What `adapter_config.json` says of a LoRA adapter, as far as it bears on the weights.
///
/// Source: peft's `LoraConfig`, 0.4 to 0.17. What would change the result and is not implemented is refused; what only
/// concerns training is passed over.
public struct AdapterConfiguration: Sendable {
  public static let fileName = "adapter_config.json"

  /// r and α of modules that no pattern names.
  let rank: Int
  let alpha: Double
  private let rankPatterns: [(pattern: ModulePattern, rank: Int)]
  private let alphaPatterns: [(pattern: ModulePattern, alpha: Double)]
  /// Whether the scaling is α / √r instead of α / r (Kalajdzievski, 2023, arXiv 2312.03732).
  let isRankStabilized: Bool
  /// Whether weights are [in, out], as GPT-2's `Conv1D` has them.
  let isTransposed: Bool
  /// Whether columns are scaled to a magnitude (Liu et al., 2024, arXiv 2402.09353).
  let isDecomposed: Bool
  public let baseModelName: String?

  /// - Throws: `malformed`; `unsupportedFeature` for another kind of adapter, or one that is not simply added to the base.
  init(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    let object = try JSONValue(parsing: text).asObject("the adapter's configuration")
    func flag(_ name: String) throws(StorageError) -> Bool {
      switch object[name] {
      case nil, .null: return false
      case .bool(let value): return value
      default: throw StorageError(.malformed, "\"\(name)\" must be true or false")
      }
    }
    let kind = try object.required("peft_type", of: "the adapter's configuration").asString("\"peft_type\"")
    guard kind == "LORA" else {
      throw StorageError(.unsupportedFeature, "is an adapter of type \(kind); only LORA can be merged")
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
    if case .string(let name) = object["base_model_name_or_path"] { baseModelName = name } else { baseModelName = nil }
  }

  /// r of a module, by peft's rules: the first pattern that fits.
  func rank(of module: String) -> Int { rankPatterns.first { $0.pattern.matches(module) }?.rank ?? rank }

  /// What B · A is multiplied by: α / r, or α / √r.
  func scale(of module: String) -> Float {
    let alpha = alphaPatterns.first { $0.pattern.matches(module) }?.alpha ?? alpha
    let rank = Double(rank(of: module))
    return Float(alpha / (isRankStabilized ? rank.squareRoot() : rank))
  }

  private static func rank(_ value: JSONValue, _ what: String) throws(StorageError) -> Int {
    let rank = try value.asCount(what)
    guard rank > 0 else { throw StorageError(.malformed, "\(what) is 0; a rank is at least 1") }
    try Limits.check(rank, atMost: Limits.adapterRank, what)
    return rank
  }

  private static func alpha(_ value: JSONValue, _ what: String) throws(StorageError) -> Double {
    let alpha: Double
    switch value {
    case .integer(let integer): alpha = Double(integer)
    case .number(let number): alpha = number
    default: throw StorageError(.malformed, "\(what) must be a number")
    }
    guard alpha.magnitude < 0x1p64 else { throw StorageError(.malformed, "\(what) is \(alpha), beyond all reason") }
    return alpha
  }

  private static func patterns(
    _ object: JSONObject, _ name: String
  ) throws(StorageError) -> [(pattern: ModulePattern, value: JSONValue)] {
    guard let value = object[name], value != .null else { return [] }
    return try value.asObject("\"\(name)\"").members.map { member throws(StorageError) in
      (try ModulePattern(member.name), member.value)
    }
  }

  private static func refuseUnsupported(_ object: JSONObject) throws(StorageError) {
    func isSet(_ name: String) -> Bool {
      switch object[name] {
      case nil, .null, .bool(false): false
      case .array(let values): !values.isEmpty
      case .object(let object): !object.members.isEmpty
      default: true
      }
    }
    let unsupported = [
      ("layer_replication", "repeats layers of the base"), ("lora_bias", "has biases of its own"),
      ("target_parameters", "adapts parameters instead of modules"),
      ("trainable_token_indices", "trains single tokens"), ("alora_invocation_tokens", "depends on the tokens"),
      ("use_qalora", "pools the inputs"), ("use_bdlora", "is made of blocks"), ("arrow_config", "has a router"),
    ]
    for (name, what) in unsupported where isSet(name) {
      throw StorageError(.unsupportedFeature, "\"\(name)\": an adapter that \(what) cannot be merged")
    }
    // These initialisations change the base's weights.
    if case .string(let name) = object["init_lora_weights"],
      ["pissa", "olora", "corda", "loftq"].contains(where: { name.lowercased().hasPrefix($0) })
    {
      throw StorageError(
        .unsupportedFeature,
        "\"init_lora_weights\" is \(name), which changes the base: save it with path_initial_model_for_weight_conversion"
      )
    }
  }
}
