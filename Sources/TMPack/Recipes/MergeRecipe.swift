import ByteIO
import TensorKit
import YAML

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
/// Whatever is not understood is an error.
public struct MergeRecipe: Sendable {
  /// A checkpoint to merge.
  public struct Model: Sendable {
    /// As settings and messages name it: `name`, or the last component of the path without a file's suffix.
    public let name: String
    public let path: String
    /// What was measured of it, for the methods that ask for it.
    public let statistics: String?
    let settings: [String: RecipeValue]
  }

  public let kind: MergingMethodKind
  /// The path of the base; nil where the file names none and the method needs none.
  public let base: String?
  public let models: [Model]
  let settings: [String: RecipeValue]
  /// Of the merged tensors; nil for the base's.
  public let dtype: ConversionFormat?
}

extension MergeRecipe {
  /// Reads a file.
  ///
  /// - Throws: `malformed` or `unknownName` with the file and the line; `limitExceeded`; what the system says.
  public init(path: String) throws(StorageError) {
    self = try located(file: path) { () throws(StorageError) in
      let file = try ReadableFile(path)
      try Limits.check(file.size, atMost: Limits.yamlBytes, "the size of a recipe")
      return try MergeRecipe(parsing: file.bytes(at: 0, count: Int(file.size)))
    }
  }

  /// - Throws: as `init(path:)`, without the file.
  public init(parsing text: [UInt8]) throws(StorageError) {
    let root = try RecipeMapping(
      YAMLNode(parsing: text), "a recipe",
      keys: ["merge_method", "base_model", "models", "parameters", "dtype", "out_dtype"],
      refusing: [
        "slices": "layers cannot be put together from several models",
        "modules": "parts of a model cannot be merged by themselves; use filters",
        "tokenizer_source": "the base's tokenizer is kept", "tokenizer": "the base's tokenizer is kept",
        "chat_template": "the base's files are kept",
      ])
    let method = try root.required("merge_method").text("the name of a merging method")
    let kind = try located(line: root.line(of: "merge_method")) { () throws(StorageError) in
      try MergingMethodKind.named(Self.ownName(of: method))
    }
    settings =
      try root["parameters"].map { node throws(StorageError) in
        try Self.settings(node, of: kind, perExpert: false)
      } ?? [:]
    dtype = try (root["out_dtype"] ?? root["dtype"]).map { node throws(StorageError) in try Self.dtype(node) }

    base = try root["base_model"].map { node throws(StorageError) in try node.text("a path") }
    let origin = base
    let needsBase = kind.needsBase(with: settings.keys.map { MergeSettings.Name($0) })
    var models: [Model] = []
    for node in try root.required("models").list("the models") {
      let model = try Self.model(node, of: kind)
      // mergekit's files list the base among the models, where it has no task vector; of a mean it is a part.
      if needsBase, model.path == origin, model.settings.isEmpty { continue }
      guard !models.contains(where: { $0.name.hasSameBytes(as: model.name) }) else {
        throw StorageError(
          .malformed, "line \(node.line): two models have the name '\(model.name)'; give one another with name:")
      }
      models.append(model)
    }
    guard !models.isEmpty else {
      throw StorageError(.malformed, "line \(root.line(of: "models")): no model is given")
    }
    guard base != nil || !needsBase else {
      throw StorageError(.malformed, "the method '\(kind.name)' needs a base_model")
    }
    self.models = models
    self.kind = kind
  }

  /// Our name for a method of mergekit's files.
  private static func ownName(of method: String) -> String {
    let words = method.split(separator: "_", omittingEmptySubsequences: false).joined(separator: "-")
    return ["linear": "average"][words] ?? words
  }

  private static func model(_ node: YAMLNode, of kind: MergingMethodKind) throws(StorageError) -> Model {
    let mapping = try RecipeMapping(node, "a model", keys: ["model", "name", "statistics", "parameters"])
    let path = try mapping.required("model").text("a path")
    let name = try mapping["name"].map { node throws(StorageError) in try node.text("a name") } ?? defaultName(of: path)
    return Model(
      name: name, path: path,
      statistics: try mapping["statistics"].map { node throws(StorageError) in try node.text("a path") },
      settings: try mapping["parameters"].map { node throws(StorageError) in
        try settings(node, of: kind, perExpert: true)
      } ?? [:])
  }

  /// A folder's last component; a file's, too, without its suffix.
  public static func defaultName(of path: String) -> String {
    let last = FileTree.lastComponent(path)
    if FileTree.kind(of: path) == .folder { return last }
    return last.lastIndex(of: ".").map { String(last[..<$0]) } ?? last
  }

  private static func settings(
    _ node: YAMLNode, of kind: MergingMethodKind, perExpert: Bool
  ) throws(StorageError) -> [String: RecipeValue] {
    if case .null = node.content { return [:] }
    let mapping = try RecipeMapping(
      node, "the parameters of '\(kind.name)'", keys: kind.settings.map(\.name))
    var values: [String: RecipeValue] = [:]
    for member in mapping.members {
      guard let setting = kind.settings.first(where: { $0.name == member.key }) else { continue }
      guard setting.isPerExpert || !perExpert else {
        throw StorageError(
          .malformed,
          "line \(member.line): '\(setting.name)' is the same for all models: it belongs to the recipe's parameters")
      }
      values[setting.name] = try RecipeValue(member.value, for: setting)
    }
    return values
  }

  private static func dtype(_ node: YAMLNode) throws(StorageError) -> ConversionFormat {
    let text = try node.text("a dtype")
    let names: [String: ConversionFormat] = [
      "float64": .f64, "float32": .f32, "float16": .f16, "bfloat16": .bf16, "f64": .f64, "f32": .f32, "f16": .f16,
      "bf16": .bf16,
    ]
    guard let format = names[text] else {
      throw StorageError(
        .malformed, "line \(node.line): there is no dtype '\(text)'" + text.suggestion(among: names.keys.sorted()))
    }
    return format
  }
}
