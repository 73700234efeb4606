import TMPackByteIO
import TMPackModels
import TMPackTensorKit

/// The names that models of a mix lack, because they have one tensor for embedding and output layer where others have two.
struct UntiedModels {
  /// For each model, its names to be added, with the tensors that they stand for.
  private let aliases: [[String: String]]

  /// nil where all models agree.
  ///
  /// - Parameter models: each as it is in the archive.
  init?(_ models: [Mix]) throws(StorageError) {
    var isUntied = false
    var aliases: [[String: String]] = []
    for (index, model) in models.enumerated() {
      var others: [any TensorSource] = models
      others.remove(at: index)
      let own = try AdapterBase(model).aliases(asIn: others)
      isUntied = isUntied || own != nil
      aliases.append(own ?? [:])
    }
    guard isUntied else { return nil }
    self.aliases = aliases
  }

  /// A model with the names that it lacks.
  ///
  /// - Parameter index: its place among the models.
  func view(_ source: any TensorSource, ofModel index: Int) throws(StorageError) -> any TensorSource {
    try source.aliased(aliases[index])
  }
}
