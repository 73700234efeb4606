import TMPackByteIO
import TMPackCheckpoints
import TMPackYAML

/// The models that a recipe lists, by themselves or slice by slice.
struct RecipeModels {
  private let models: [MergeRecipe.Model]
  private let slices: [RecipeSlice]
  private let line: Int

  package var notes: [String] { slices.flatMap { $0.settings.notes + $0.models.flatMap(\.notes) } }

  /// - Throws: `malformed` or `unknownName` with the line; `unsupportedFeature` for layers that are not where they were.
  init(_ root: RecipeMapping, of kind: MergingMethodKind, mergekit: MergekitMethod?) throws(StorageError) {
    guard let node = root["slices"] else {
      var models: [MergeRecipe.Model] = []
      var settings: [RecipeSettings] = []
      for node in try root.required("models").list("the models") {
        let mapping = try RecipeMapping(node, "a model", keys: ["model", "name", "statistics", "parameters"])
        models.append(try Self.model(mapping, beside: models, line: node.line))
        settings.append(try RecipeSettings(mapping["parameters"], of: kind, mergekit: mergekit, perExpert: true))
      }
      line = root.line(of: "models")
      guard !models.isEmpty else { throw StorageError(.malformed, "line \(line): no model is given") }
      self.models = models
      slices = [RecipeSlice(layers: nil, settings: RecipeSettings(), models: settings)]
      return
    }
    if root["models"] != nil {
      throw StorageError(.malformed, "line \(root.line(of: "slices")): a recipe has models or slices, not both")
    }
    line = root.line(of: "slices")
    var models: [MergeRecipe.Model] = []
    var slices: [RecipeSlice] = []
    for node in try node.list("the slices") {
      let slice = try Self.slice(node, from: slices.last?.layers?.upperBound ?? 0, of: kind, mergekit: mergekit)
      if models.isEmpty { models = slice.models }
      guard models.map(\.path) == slice.models.map(\.path) else {
        throw StorageError(
          .unsupportedFeature,
          "line \(node.line): the slice is of other models than the first, or in another order; every slice must be of the same models"
        )
      }
      slices.append(slice.slice)
    }
    guard !slices.isEmpty else { throw StorageError(.malformed, "line \(line): no slice is given") }
    self.models = models
    self.slices = slices
  }

  private static func model(
    _ mapping: RecipeMapping, beside others: [MergeRecipe.Model], line: Int
  ) throws(StorageError) -> MergeRecipe.Model {
    let path = try mapping.required("model").text("a path")
    let name =
      try mapping["name"].map { node throws(StorageError) in try node.text("a name") }
      ?? Checkpoint.defaultName(of: path)
    guard !others.contains(where: { $0.name.hasSameBytes(as: name) }) else {
      throw StorageError(
        .malformed, "line \(line): two models have the name '\(name)'; give one another with name:")
    }
    return MergeRecipe.Model(
      name: name, path: path,
      statistics: try mapping["statistics"].map { node throws(StorageError) in try node.text("a path") })
  }

  private static func slice(
    _ node: YAMLNode, from start: Int, of kind: MergingMethodKind, mergekit: MergekitMethod?
  ) throws(StorageError) -> (slice: RecipeSlice, models: [MergeRecipe.Model]) {
    let mapping = try RecipeMapping(
      node, "a slice", keys: ["sources", "parameters"],
      refusing: [
        "base_model": "all slices have the recipe's base", "residual_weight": "mergekit itself passes over it",
      ])
    var layers: Range<Int>?
    var models: [MergeRecipe.Model] = []
    var settings: [RecipeSettings] = []
    for node in try mapping.required("sources").list("the sources of a slice") {
      let source = try RecipeMapping(
        node, "a source of a slice", keys: ["model", "layer_range", "name", "statistics", "parameters"])
      let range = try Self.layers(source.required("layer_range"))
      guard range.lowerBound == start, layers == nil || layers == range else {
        throw StorageError(
          .unsupportedFeature,
          "line \(node.line): layers \(range.lowerBound) to \(range.upperBound) come where layer \(start) is due: layers cannot be moved, repeated or left out; slices must cover them in order, the same of each model"
        )
      }
      layers = range
      models.append(try model(source, beside: models, line: node.line))
      settings.append(try RecipeSettings(source["parameters"], of: kind, mergekit: mergekit, perExpert: true))
    }
    guard let layers else { throw StorageError(.malformed, "line \(node.line): a slice has no source") }
    let slice = RecipeSlice(
      layers: layers,
      settings: try RecipeSettings(mapping["parameters"], of: kind, mergekit: mergekit, perExpert: false),
      models: settings)
    return (slice, models)
  }

  private static func layers(_ node: YAMLNode) throws(StorageError) -> Range<Int> {
    let ends = try node.list("the range of layers").map { node throws(StorageError) in
      Int(try node.text("a layer")) ?? -1
    }
    guard ends.count == 2, ends[0] >= 0, ends[0] < ends[1] else {
      throw StorageError(
        .malformed, "line \(node.line): layer_range must be the first layer and the one after the last, as [0, 40]")
    }
    return ends[0]..<ends[1]
  }

  /// The models that count, with their settings: mergekit's files list the base among them, where it has no task vector;
  /// of a mean it is a part.
  ///
  /// - Throws: `malformed` for a method that needs a base or a model and has none.
  func counted(
    base: String?, kind: MergingMethodKind, asked: MergekitDefaults, settings: RecipeSettings
  ) throws(StorageError) -> (models: [MergeRecipe.Model], slices: [RecipeSlice]) {
    let names = Set(settings.values.keys).union(asked.values.keys).map { MergeSettings.Name($0) }
    let needsBase = asked.needsBase ?? kind.needsBase(with: names)
    guard base != nil || !needsBase else {
      throw StorageError(.malformed, "the method '\(kind.name)' needs a base_model")
    }
    guard let base else { return (models, slices) }
    var (counted, places) = (models, Array(models.indices))
    if needsBase {
      places.removeAll { models[$0].path == base }
      counted = places.map { models[$0] }
    } else if asked.method?.countsBase == true, !models.contains(where: { $0.path == base }) {
      if let required = asked.method?.required.first, settings[required] == nil {
        throw StorageError(
          .malformed,
          "mergekit's '\(asked.method!.name)' counts the base_model as a model, and it has no \(required): list it among the models with one, or leave base_model out"
        )
      }
      counted.append(MergeRecipe.Model(name: Checkpoint.defaultName(of: base), path: base, statistics: nil))
    }
    guard !counted.isEmpty else {
      throw StorageError(.malformed, "line \(line): no model is given beside the base")
    }
    if asked.method?.name == "slerp", counted.count != 1 {
      throw StorageError(
        .malformed, "line \(line): slerp goes from the base_model to one other model; found \(counted.count) others")
    }
    let kept = slices.map { slice in
      RecipeSlice(
        layers: slice.layers, settings: slice.settings,
        models: places.map { slice.models[$0] }
          + [RecipeSettings](repeating: RecipeSettings(), count: counted.count - places.count))
    }
    return (counted, kept)
  }
}
