import TMPackByteIO

/// Some layers of the merged model, one after the other, or all of them, with what is set for them.
struct RecipeSlice: Sendable {
  /// nil for all.
  package let layers: Range<Int>?
  /// For all models.
  let settings: RecipeSettings
  /// One for each model of the recipe.
  package let models: [RecipeSettings]

  /// A tensor's settings, from the first place that has one.
  package func value(_ name: String, model: Int?) -> [RecipeValue] {
    [model.flatMap { models[$0][name] }, settings[name]].compactMap { $0 }
  }
}

extension [RecipeSlice] {
  /// Which slice a tensor belongs to, and how deep it is in it: 0 in its first layer, 1 in its last. Tensors outside of
  /// the layers are as the first layer is.
  package func place(of tensor: String, in layers: LayerPositions) -> (slice: Int, depth: Double) {
    guard let position = layers[tensor] else {
      // Embeddings come before the layers; norms and heads after them.
      let isBefore = ["emb", "wte", "wpe"].contains { tensor.contains($0) }
      return (isBefore ? 0 : count - 1, LayerPositions.isOnlyLayer(tensor) ? 1 : 0)
    }
    guard let slice = firstIndex(where: { $0.layers?.contains(position.index) ?? true }) else {
      preconditionFailure("the slices cover all layers")
    }
    guard let range = self[slice].layers else { return (slice, position.depth) }
    return (slice, range.count > 1 ? Double(position.index - range.lowerBound) / Double(range.count - 1) : 1)
  }

  /// Refuses slices that are not of exactly the model's layers.
  package func check(coverLayersOf layers: LayerPositions) throws(StorageError) {
    guard let end = last?.layers?.upperBound else { return }
    let stacks = layers.stacks
    if stacks.count == 1, stacks[0].count == end { return }
    let found =
      stacks.isEmpty
      ? "no layers" : stacks.map { "\($0.count) layers \($0.name)" }.joined(separator: " and ")
    throw StorageError(
      .unsupportedFeature,
      "the recipe's slices are of \(end) layers, and the base has \(found): only slices that cover all layers of a model with one stack of them are supported"
    )
  }
}

extension LayerPositions {
  /// Whether the name is of a stack with one layer only, which no name tells from a part that happens to be numbered:
  /// from what stacks are called.
  fileprivate static func isOnlyLayer(_ name: String) -> Bool {
    let parts = name.split(separator: ".")
    return zip(parts, parts.dropFirst()).contains {
      ["layers", "layer", "h", "blocks", "block"].contains($0) && $1 == "0"
    }
  }
}
