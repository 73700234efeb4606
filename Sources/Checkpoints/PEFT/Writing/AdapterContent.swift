import TMPackByteIO
import TMPackTensorKit

/// The updates of an adapter, as far as every library's layout has a place for them.
package struct AdapterContent: Sendable {
  package struct Update: Sendable {
    /// As the model names it; of a pipeline the component, a slash, and the name in it. Of a file of kohya's that nobody has looked
    /// up in a model, its word.
    package var module: String
    /// [rank, inputs…]
    package let a: TensorInfo
    /// [outputs, rank], and ones.
    package let b: TensorInfo
    /// What B · A is multiplied by.
    package let scale: Double
    package var isEmbedding: Bool
    /// Of DoRA: a number for each output.
    package let magnitude: TensorInfo?

    package init(
      module: String, a: TensorInfo, b: TensorInfo, scale: Double, isEmbedding: Bool, magnitude: TensorInfo? = nil
    ) {
      (self.module, self.a, self.b, self.scale) = (module, a, b, scale)
      (self.isEmbedding, self.magnitude) = (isEmbedding, magnitude)
    }

    var rank: Int { a.shape.dimensions[0] }
    var outputs: Int { b.shape.dimensions[0] }

    /// nil for one of a model that is no pipeline.
    package var component: String? { module.firstIndex(of: "/").map { String(module[..<$0]) } }
    var path: String { module.firstIndex(of: "/").map { String(module[module.index(after: $0)...]) } ?? module }
  }

  /// Has the tensors of the updates.
  package let source: any TensorSource
  /// Sorted by module.
  package var updates: [Update]
  /// Whether the adapted weights are [inputs, outputs].
  package var isTransposed = false
  /// Of a layer with experts, each of which is a module: how many they are; nil where only the updates tell.
  package var expertCount: Int?
  package var baseModelName: String?
  /// Whether `isEmbedding` is known: to mlx-lm the updates of embeddings are like any other's.
  package private(set) var knowsEmbeddings = true

  package init(_ updates: [Update], in source: any TensorSource) {
    self.updates = updates.sorted { $0.module.precedesInBytes($1.module) }
    self.source = source
  }

  /// - Throws: `unsupportedFeature` for what is no update of a module's weight.
  package init(_ adapter: LoRAAdapter) throws(StorageError) {
    func refusal(_ what: String, _ tensor: TensorInfo) -> StorageError {
      StorageError(
        .unsupportedFeature, "\(what), for which other layouts of adapters have no place", file: adapter.source.label,
        tensor: tensor.name)
    }
    if let whole = adapter.wholeTensors.first { throw refusal("is a whole tensor", whole.info) }
    if let difference = adapter.differences.first { throw refusal("is a whole difference", difference.info) }
    if let rows = adapter.rows.first { throw refusal("is rows of an embedding", rows.info) }
    let configuration = adapter.configuration
    let updates = try adapter.updates.map { update throws(StorageError) in
      if let bias = update.bias { throw refusal("is a bias", bias) }
      guard configuration.parameters(of: update.module).isEmpty else {
        throw refusal("is of a parameter that is no module's weight", update.a)
      }
      let update = try located(file: adapter.source.label) { () throws(StorageError) in
        try update.ofModule(configuration)
      }
      return Update(
        module: adapter.layout.module(update.module), a: update.a, b: update.b,
        scale: configuration.scaling(of: update.module, rank: update.rank), isEmbedding: update.isEmbedding,
        magnitude: update.magnitude)
    }
    self.init(updates, in: adapter.source)
    isTransposed = configuration.isTransposed
    knowsEmbeddings = adapter.layout != .mlx
    baseModelName = configuration.baseModelName
  }
}

extension AdapterLayout {
  /// With a slash behind the component of a pipeline.
  fileprivate func module(_ name: String) -> String {
    switch self {
    case .peft, .mlx: return name
    case .diffusers, .file:
      guard !KohyaName.isUsed(by: name), let dot = name.firstIndex(of: "."),
        KohyaName.prefixes.contains(where: { $0.component == name[..<dot] })
      else { return name }
      return "\(name[..<dot])/\(name[name.index(after: dot)...])"
    }
  }
}
