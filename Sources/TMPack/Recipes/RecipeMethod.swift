import ArchiveFormat
import ByteIO
import Parallel
import TensorKit

extension MergeRecipe {
  /// What the recipe says, as a merging method for its models.
  ///
  /// - Parameter overrides: settings that count instead of the recipe's, for all tensors.
  /// - Throws: `unknownName` or `invalidArgument` for an override that cannot be.
  public func method(overriding overrides: [MergeSettings.Name: String] = [:]) throws(StorageError)
    -> any MergingMethod
  {
    // Settings that are wrong in themselves are found before anything is read.
    _ = try kind.method(overrides)
    return RecipeMethod(recipe: self, overrides: overrides)
  }
}

/// A method whose settings are a recipe's: before it is prepared.
private struct RecipeMethod: MergingMethod {
  let recipe: MergeRecipe
  let overrides: [MergeSettings.Name: String]

  var record: SharedMethod {
    var parameters: [String: String] = [:]
    for (name, value) in recipe.settings { parameters[name] = value.summary }
    for model in recipe.models {
      for (name, value) in model.settings {
        parameters[MergeSettings.Name(name, expert: model.name).description] = value.summary
      }
    }
    for (name, value) in overrides { parameters[name.description] = value }
    return SharedMethod(SharedMethod.Name(recipe.kind.name), parameters: parameters)
  }

  /// One method for all tensors that have the same settings. A method that looks at the whole model sees those.
  func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod {
    var names: [[MergeSettings.Name: String]: Set<ExactString>] = [:]
    for info in sources.base.tensors {
      // Outside of the layers, embeddings come before them, and heads after.
      let depth = sources.layers[info.name]?.depth ?? (info.name.contains("emb") ? 0 : 1)
      names[settings(for: info.name, depth: depth), default: []].insert(ExactString(info.name))
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

  private func settings(for tensor: String, depth: Double) -> [MergeSettings.Name: String] {
    var values: [MergeSettings.Name: String] = [:]
    for (name, value) in recipe.settings { values[MergeSettings.Name(name)] = value.text(for: tensor, depth: depth) }
    for model in recipe.models {
      for (name, value) in model.settings {
        values[MergeSettings.Name(name, expert: model.name)] = value.text(for: tensor, depth: depth)
      }
    }
    return values.merging(overrides) { $1 }
  }
}

private struct PreparedRecipe: MergingMethod {
  let record: SharedMethod
  let methods: [ExactString: any MergingMethod]
  let readsExperts: Bool

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let method = methods[ExactString(group.info.name)] else {
      preconditionFailure("the sources are those that it was prepared for")
    }
    try method.merge(group, into: merged)
  }
}
