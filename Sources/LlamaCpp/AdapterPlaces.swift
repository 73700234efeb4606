import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// Where updates of a model's weights go in an adapter of llama.cpp (Spec/gguf-models.md, rules 20 to 25).
package struct AdapterPlaces: Sendable {
  package struct Place: Sendable, Hashable {
    /// Of the weight.
    package let name: String
    /// In a stack.
    package let expert: Int?
    /// Whose rows change their order in B; nil where none do.
    package let interleavedHeads: Int?
  }

  /// `general.architecture` of the model.
  package let architecture: String
  package let expertCount: Int?
  private let network: Network
  private let metadata: NetworkMetadata

  /// - Parameter files: those that travel with the model.
  /// - Throws: `unsupportedFeature` for a model that llama.cpp does not run, or that is not known here; what reading the files throws.
  package init(files: [CarriedContent]) throws(StorageError) {
    guard let settings = try ModelSettings(in: files) else {
      throw StorageError(
        .unsupportedFeature, "no config.json says which model this is, so that llama.cpp's names are not known")
    }
    guard let network = Network.of(modelType: settings.modelType) else {
      throw StorageError(.unsupportedFeature, "llama.cpp's names for \(settings.modelType) are not known here")
    }
    self.network = network
    metadata = try NetworkMetadata(network, settings)
    architecture = network.name
    expertCount = metadata.expertCount
  }

  /// Whether the output is a matrix of its own: else it is the embedding.
  package func hasOutput(_ tensors: [TensorInfo]) -> Bool {
    tensors.contains { place(of: $0.name)?.name == "output.weight" }
  }

  /// - Returns: nil for a tensor that is no matrix of the network, or one that is more than one of them.
  package func place(of tensor: String) -> Place? {
    let stem = network.stem(of: tensor)
    let found = network.tensors.compactMap { rule in rule.source.numbers(in: stem).map { (rule, $0) } }
    guard found.count == 1, let (rule, numbers) = found.first, numbers.layer ?? 0 < metadata.layerCount else {
      return nil
    }
    var heads: Int?
    switch rule.change {
    case .none, .transposed: break
    case .interleavedQueries: heads = metadata.headCount
    case .interleavedKeys: heads = metadata.keyHeadCount
    case .plusOne, .plusOneScaled, .firstHalf, .secondHalf: return nil
    }
    return Place(name: rule.target.name(layer: numbers.layer), expert: numbers.expert, interleavedHeads: heads)
  }
}
