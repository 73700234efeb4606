import TMPackByteIO
import TMPackTensorKit
import TMPackYAML

/// A merge as a file says it: a method, models, and settings that may differ from tensor to tensor.
///
/// The file is YAML with mergekit's names where they mean the same:
///
/// ```yaml
/// merge_method: ties
/// base_model: base/
/// models:
///   - model: math/
///     parameters: { weight: 1.0, density: 0.2 }
///   - model: code/
///     name: code
///     parameters:
///       weight:
///         - filter: mlp            # tensors with this in their name, or that match the glob
///           value: [0.3, 1.0]      # from the first layer to the last
///         - value: 0.5             # all others
/// parameters: { lambda: 0.8 }      # for all models, unless one has its own
/// dtype: bfloat16
/// ```
///
/// Where a setting is left out, it is what it is in mergekit, for the methods that mergekit has; what was filled in or
/// passed over is in `notes`. Whatever is not understood is an error.
package struct MergeRecipe: Sendable {
  /// A checkpoint to merge.
  package struct Model: Sendable {
    /// As settings and messages name it: `name`, or what `Checkpoint.defaultName` makes of the path.
    package let name: String
    /// As `Checkpoint.open(_:onBase:)` takes it.
    package let path: String
    /// What was measured of it, for the methods that ask for it.
    package let statistics: String?
  }

  package let kind: MergingMethodKind
  /// The path of the base; nil where the file names none and the method needs none.
  package let base: String?
  package let models: [Model]
  /// For all models and layers.
  let settings: RecipeSettings
  /// What holds where no setting is given, other than the method's own defaults.
  let defaults: [String: String]
  /// At least one; in the order of their layers.
  let slices: [RecipeSlice]
  /// Of the merged tensors; nil for the base's.
  package let dtype: ConversionFormat?
  /// Whether the models' tokenizers must be the base's: `tokenizer_source: base`.
  package let needsOneTokenizer: Bool
  /// What a person should know of how the file was understood.
  package let notes: [String]
}

extension MergeRecipe {
  /// Reads a file.
  ///
  /// - Throws: `malformed` or `unknownName` with the file and the line; `unsupportedFeature` for what mergekit has and we
  ///   do not; `limitExceeded`; what the system says.
  package init(path: String) throws(StorageError) {
    self = try located(file: path) { () throws(StorageError) in
      let file = try ReadableFile.ofText(path, atMost: Limits.yamlBytes, "the size of a recipe")
      try Limits.check(file.size, atMost: Limits.yamlBytes, "the size of a recipe")
      return try MergeRecipe(parsing: file.bytes(at: 0, count: Int(file.size)))
    }
  }

  /// - Throws: as `init(path:)`, without the file.
  package init(parsing text: [UInt8]) throws(StorageError) {
    let root = try RecipeMapping(
      YAMLNode(parsing: text), "a recipe",
      keys: [
        "merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype", "tokenizer_source",
        "tokenizer",
      ],
      refusing: [
        "modules": "parts of a model cannot be merged by themselves; use filters",
        "chat_template": "the base's files are kept; leave it out, and edit the tokenizer of what was merged",
      ], alsoKnown: MergekitMethod.hints)
    let method = try root.required("merge_method").text("the name of a merging method")
    let kind = try located(line: root.line(of: "merge_method")) { () throws(StorageError) in
      try MergingMethodKind.named(method)
    }
    let mergekit = MergekitMethod.named(method)
    settings = try RecipeSettings(root["parameters"], of: kind, mergekit: mergekit, perExpert: false)
    base = try root["base_model"].map { node throws(StorageError) in try node.text("a path") }
    dtype = try (root["out_dtype"] ?? root["dtype"]).map { node throws(StorageError) in try Self.dtype(node) }
    needsOneTokenizer = try Self.needsOneTokenizer(root)

    let listed = try RecipeModels(root, of: kind, mergekit: mergekit)
    let asked = MergekitDefaults(mergekit, kind, settings: settings, base: base)
    (models, slices) = try listed.counted(base: base, kind: kind, asked: asked, settings: settings)
    defaults = asked.values
    self.kind = kind
    notes =
      root.members.map(\.key).filter(MergekitMethod.hints.contains).map {
        RecipeSettings.passedOver($0, by: method)
      } + settings.notes + listed.notes + asked.notes(models: models, slices: slices, settings: settings)
      + (try Self.notesOnPrecision(root, mergekit: mergekit))
  }

  private static func needsOneTokenizer(_ root: RecipeMapping) throws(StorageError) -> Bool {
    let source: YAMLNode
    let key: String
    if let node = root["tokenizer_source"] {
      (source, key) = (node, "tokenizer_source")
    } else if let node = root["tokenizer"] {
      let mapping = try RecipeMapping(
        node, "the tokenizer", keys: ["source"],
        refusing: [
          "tokens": "tokens cannot be mapped from model to model",
          "pad_to_multiple_of": "embeddings keep the base's rows",
        ])
      (source, key) = (try mapping.required("source"), "tokenizer: source")
    } else {
      return false
    }
    let text = try source.text("base")
    guard text == "base" else {
      throw StorageError(
        .unsupportedFeature,
        "line \(source.line): '\(key): \(text)' is not supported: tokens cannot be mapped from model to model; only 'base', the base's tokenizer for models that share it"
      )
    }
    return true
  }

  private static func notesOnPrecision(
    _ root: RecipeMapping, mergekit: MergekitMethod?
  ) throws(StorageError) -> [String] {
    guard mergekit != nil, let node = root["dtype"], ![ConversionFormat.f32, .f64].contains(try dtype(node)) else {
      return []
    }
    let text = try node.text("a dtype")
    return [
      "mergekit computes in dtype \(text) and rounds at every step; here it is computed in 64 bits and rounded once, as by its 'dtype: float32' with 'out_dtype: \(text)'"
    ]
  }

  private static func dtype(_ node: YAMLNode) throws(StorageError) -> ConversionFormat {
    let text = try node.text("a dtype")
    let names: [String: ConversionFormat] = [
      "float64": .f64, "float32": .f32, "float16": .f16, "bfloat16": .bf16, "f64": .f64, "f32": .f32, "f16": .f16,
      "bf16": .bf16,
    ]
    guard let format = names[text.hasPrefix("torch.") ? String(text.dropFirst(6)) : text] else {
      throw StorageError(
        .malformed, "line \(node.line): there is no dtype '\(text)'" + text.suggestion(among: names.keys.sorted()))
    }
    return format
  }
}
