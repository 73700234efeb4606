/// A method of mergekit's recipes: ours that does the same, and what holds where a recipe says nothing.
struct MergekitMethod {
  package let name: String
  /// Of mergekit, by our settings' names. Not what a recipe must say in mergekit.
  let defaults: [(setting: String, value: String)]
  /// What mergekit takes for no value of its own, and asks for.
  package let required: [String]
  /// Whether the base is a model as any, also where the recipe does not list it.
  let countsBase: Bool
  /// Whether mergekit does without a base, too.
  let isBaseOptional: Bool

  private init(
    _ name: String, _ defaults: KeyValuePairs<String, String>, required: [String] = [], countsBase: Bool = false,
    isBaseOptional: Bool = false
  ) {
    self.name = name
    self.defaults = defaults.map { ($0.key, $0.value) }
    self.required = required
    self.countsBase = countsBase
    self.isBaseOptional = isBaseOptional
  }

  package static let all = [
    MergekitMethod("linear", ["normalize": "true"], required: ["weight"], countsBase: true, isBaseOptional: true),
    MergekitMethod("slerp", [:], required: ["t"], isBaseOptional: true),
    MergekitMethod("karcher", ["max_iter": "10", "tol": "1e-05"], countsBase: true, isBaseOptional: true),
    MergekitMethod(
      "multislerp", ["normalize_weights": "true", "eps": "1e-08"], required: ["weight"], isBaseOptional: true),
    MergekitMethod("model_stock", ["filter_wise": "false"]),
    MergekitMethod("task_arithmetic", ["lambda": "1.0", "normalize": "false"], required: ["weight"]),
    MergekitMethod(
      "ties", ["lambda": "1.0", "density": "1.0", "normalize": "true", "rescale": "false", "scope": "tensor"],
      required: ["weight"]),
    MergekitMethod(
      "dare_linear", ["lambda": "1.0", "density": "1.0", "normalize": "false", "rescale": "true"],
      required: ["weight"]),
    MergekitMethod(
      "dare_ties", ["lambda": "1.0", "density": "1.0", "normalize": "false", "rescale": "true"], required: ["weight"]),
    MergekitMethod(
      "breadcrumbs",
      ["lambda": "1.0", "density": "1.0", "gamma": "0.01", "normalize": "false", "rescale": "false"],
      required: ["weight"]),
    MergekitMethod(
      "breadcrumbs_ties",
      ["lambda": "1.0", "density": "1.0", "gamma": "0.01", "normalize": "false", "rescale": "false"],
      required: ["weight"]),
    MergekitMethod(
      "della", ["lambda": "1.0", "density": "1.0", "epsilon": "0.15", "normalize": "true", "rescale": "true"],
      required: ["weight"]),
    MergekitMethod(
      "della_linear", ["lambda": "1.0", "density": "1.0", "epsilon": "0.15", "normalize": "false", "rescale": "true"],
      required: ["weight"]),
  ]

  package static func named(_ name: String) -> MergekitMethod? {
    let words = String(name.map { $0 == "-" ? "_" : $0 })
    return all.first { $0.name == words }
  }

  /// Methods that mergekit has and we do not, with what to do instead.
  package static let unsupported = [
    "nuslerp": "slerp is what comes nearest, with t the second model's share of the weights",
    "nearswap": "no method here chooses by the distance of single elements", "sce": "ties is what comes nearest",
    "arcee_fusion": "no method here chooses by importance", "ram": "ties is what comes nearest",
    "ramplus_tl": "ties is what comes nearest",
    "passthrough": "layers of several models cannot be stacked; to copy a model, use convert",
  ]

  /// What any of mergekit's methods may be given; a method passes over what is another's.
  package static let parameters: Set<String> = [
    "weight", "density", "normalize", "rescale", "lambda", "gamma", "epsilon", "t", "scale", "filter_wise", "max_iter",
    "tol", "normalize_weights", "eps", "select_topk", "nuslerp_row_wise", "nuslerp_flatten", "r", "alpha",
  ]

  /// What changes how mergekit works and no number that comes out.
  static let hints: Set<String> = [
    "int8_mask", "lazy_unpickle", "out_shard_size", "out_path", "allow_crimes", "transformers_cache",
    "lora_merge_cache", "cuda", "device", "low_cpu_memory", "copy_tokenizer", "clone_tensors", "trust_remote_code",
    "write_model_card", "safe_serialization", "verbosity", "quiet", "read_to_gpu", "multi_gpu", "num_threads",
    "gpu_rich", "async_write", "write_threads",
  ]
}
