import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

extension MergeRecipe {
  /// What the recipe says, as a merging method for its models.
  ///
  /// - Parameter overrides: settings that count instead of the recipe's, for all tensors.
  /// - Throws: `unknownName` or `invalidArgument` for an override that cannot be.
  package func method(overriding overrides: [MergeSettings.Name: String] = [:]) throws(StorageError)
    -> any MergingMethod
  {
    // Settings that are wrong in themselves are found before anything is read.
    _ = try kind.method(overrides)
    return RecipeMethod(recipe: self, overrides: overrides)
  }
}

/// A method whose settings are a recipe's: before it is prepared.
private struct RecipeMethod: MergingMethod {
  package let recipe: MergeRecipe
  package let overrides: [MergeSettings.Name: String]

  package var record: SharedMethod {
    var parameters: [String: String] = recipe.defaults
    for (name, value) in recipe.settings.values { parameters[name] = value.summary }
    for name in recipe.kind.settings.map(\.name) {
      if let text = summary({ $0.settings[name] }) { parameters[name] = text }
      for (place, model) in recipe.models.enumerated() {
        guard let text = summary({ $0.models[place][name] }) else { continue }
        parameters[MergeSettings.Name(name, expert: model.name).description] = text
      }
    }
    for (name, value) in overrides { parameters[name.description] = value }
    return SharedMethod(SharedMethod.Name(recipe.kind.name), parameters: parameters)
  }

  /// What a setting is in the slices that have it.
  private func summary(_ value: (RecipeSlice) -> RecipeValue?) -> String? {
    let texts = recipe.slices.compactMap { slice in
      value(slice).map { (slice.layers.map { "layers \($0.lowerBound)..<\($0.upperBound): " } ?? "") + $0.summary }
    }
    return texts.isEmpty ? nil : texts.joined(separator: "; ")
  }

  /// One method for all tensors that have the same settings. A method that looks at the whole model sees those.
  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    try recipe.slices.check(coverLayersOf: sources.layers)
    var names: [[MergeSettings.Name: String]: Set<ExactString>] = [:]
    for info in sources.base.tensors {
      let (slice, depth) = recipe.slices.place(of: info.name, in: sources.layers)
      let settings = settings(for: info.name, in: recipe.slices[slice], depth: depth)
      names[settings, default: []].insert(ExactString(info.name))
    }
    var methods: [ExactString: any MergingMethod] = [:]
    for (settings, tensors) in names {
      let part = MergeSources(of: sources) { tensors.contains(ExactString($0.name)) }
      let method = try recipe.kind.method(settings).prepared(for: part, pipeline: pipeline)
      for name in tensors { methods[name] = method }
    }
    return PreparedRecipe(
      record: record, methods: methods, readsExperts: methods.values.contains(where: \.readsExperts))
  }

  func merge(_: TensorGroup, into _: MergedTensor) throws(StorageError) {
    preconditionFailure("a recipe is prepared first")
  }

  private func settings(
    for tensor: String, in slice: RecipeSlice, depth: Double
  ) -> [MergeSettings.Name: String] {
    var values: [MergeSettings.Name: String] = [:]
    for (name, value) in recipe.defaults { values[MergeSettings.Name(name)] = value }
    for (name, value) in recipe.settings.values {
      if let text = value.text(for: tensor, depth: depth) { values[MergeSettings.Name(name)] = text }
    }
    for (name, value) in slice.settings.values {
      if let text = value.text(for: tensor, depth: depth) { values[MergeSettings.Name(name)] = text }
    }
    for (model, settings) in zip(recipe.models, slice.models) {
      for (name, value) in settings.values {
        values[MergeSettings.Name(name, expert: model.name)] = value.text(for: tensor, depth: depth)
      }
    }
    return values.merging(overrides) { $1 }
  }
}

private struct PreparedRecipe: MergingMethod {
  package let record: SharedMethod
  let methods: [ExactString: any MergingMethod]
  package let readsExperts: Bool

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let method = methods[ExactString(group.info.name)] else {
      preconditionFailure("the sources are those that it was prepared for")
    }
    try method.merge(group, into: merged)
  }
}
