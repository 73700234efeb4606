import TMPackByteIO
import TMPackJSON

// What of `LoraConfig` is understood. Each member was tried with peft 0.21.2: what it does to `merge_and_unload`, and
// whether the base stays as it was.

extension AdapterConfiguration {
  /// Refuses what changes the result and is not implemented, and what is not known.
  static func refuseUnsupported(_ object: JSONObject) throws(StorageError) {
    for (name, what) in unmergeable where isSet(object[name]) {
      throw StorageError(.unsupportedFeature, "\"\(name)\": an adapter that \(what) cannot be merged")
    }
    if isSet(object["kasa_config"]) {
      throw StorageError(
        .unsupportedFeature,
        "\"kasa_config\": KaSA changes the base, which it cuts down; save the merged model of PEFT instead")
    }
    try checkInitialization(object["init_lora_weights"])
    for member in object.members where !known.contains(member.name) && isSet(member.value) {
      throw StorageError(
        .unsupportedFeature,
        "\"\(member.name)\" is not known of LoRA; if it bears on no weight, take it out of \(fileName)")
    }
  }

  private static let unmergeable = [
    ("layer_replication", "repeats layers of the base"), ("alora_invocation_tokens", "depends on the tokens"),
    ("use_bdlora", "is made of blocks"), ("arrow_config", "has a router"), ("enable_lora", "updates parts of a weight"),
  ]

  /// Beside those that are read: what bears on training only, on loading, or on what another member says.
  ///
  /// VeLoRA and MonteCLoRA train otherwise and merge as any LoRA. QA-LoRA differs on quantised bases only, and there its A
  /// is narrower than the weight, which is refused by shape. The configurations of initialisations say nothing of which
  /// one was used.
  private static let known: Set<String> = [
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "lora_bias", "fan_in_fan_out",
    "target_modules", "target_parameters", "exclude_modules", "layers_to_transform", "layers_pattern",
    "modules_to_save", "bias",
    "lora_dropout", "init_lora_weights", "megatron_config", "megatron_core", "trainable_token_indices",
    "ensure_weight_tying", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config",
    "monteclora_config", "use_qalora", "qalora_group_size", "runtime_config", "merge_weights",
  ]

  /// Initialisations that leave the base as it is; as peft, the first without regard to case.
  private static let harmlessInitializations: Set<String> = ["gaussian", "eva", "orthogonal", "mica"]
  /// Those that subtract what they begin with from the base, by how they begin.
  private static let changingInitializations = ["pissa", "olora", "corda", "loftq", "lora_ga"]

  private static func checkInitialization(_ value: JSONValue?) throws(StorageError) {
    switch value {
    case nil, .null, .bool: return
    case .string(let name):
      if harmlessInitializations.contains(name.lowercased()) { return }
      guard changingInitializations.contains(where: { name.lowercased().hasPrefix($0) }) else {
        throw StorageError(
          .unsupportedFeature, "\"init_lora_weights\" is \(name), of which is not known whether it changes the base")
      }
      throw StorageError(
        .unsupportedFeature,
        "\"init_lora_weights\" is \(name), which changes the base: save it with path_initial_model_for_weight_conversion"
      )
    default:
      throw StorageError(.unsupportedFeature, "\"init_lora_weights\" is neither true nor false nor a known name")
    }
  }

  private static func isSet(_ value: JSONValue?) -> Bool {
    switch value {
    case nil, .null, .bool(false): false
    case .array(let values): !values.isEmpty
    case .object(let object): !object.members.isEmpty
    default: true
    }
  }
}
