import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension AdapterContent {
  /// The same with the names of a model: words of kohya's become modules.
  ///
  /// - Throws: `shapeMismatch` for a word that means no module of the base.
  package func named(in base: any TensorSource) throws(StorageError) -> AdapterContent {
    let names = UnderscoredNames(of: base)
    var content = self
    content.updates = try updates.map { update throws(StorageError) in
      guard update.component == nil, KohyaName.isUsed(by: update.module) else { return update }
      guard let module = names.module(ofWord: update.module) else {
        throw StorageError(
          .shapeMismatch, "changes \(update.module), which is no module of \(base.label) as diffusers names them",
          file: source.label, tensor: update.a.name)
      }
      var update = update
      update.module = module
      return update
    }
    return content
  }

  /// The updates of modules that a pattern fits.
  package func selecting(_ globs: [Glob]) -> AdapterContent {
    var content = self
    content.updates = updates.filter { update in globs.contains { $0.matches(update.module) } }
    return content
  }

  /// With the updates of embeddings known as such, by the usual names where the layout that they come from does not tell.
  package func knowingEmbeddings() throws(StorageError) -> AdapterContent {
    guard !knowsEmbeddings else { return self }
    let embeddings = try AdaptableModules.usualEmbeddings.map { text throws(StorageError) in try Glob(text) }
    var content = self
    content.updates = updates.map { update in
      var update = update
      update.isEmbedding = update.isEmbedding || embeddings.contains { $0.matches(update.module) }
      return update
    }
    return content
  }
}
