import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension AdapterBase {
  /// The names that this model lacks, with the tensors of it that they stand for, if its output layer and its embedding are tied
  /// here and are two that differ in one of the models that it is to be added to; nil where nothing is to be untied.
  ///
  /// peft leaves such a model behind where `modules_to_save` names one of the two.
  package func aliases(asIn others: [any TensorSource]) throws(StorageError) -> [String: String]? {
    guard let ties = try TiedEmbeddings(of: self), source.tensor(named: ties.embedding) != nil else { return nil }
    var isUntied = false
    for other in others where !isUntied {
      guard let head = other.tensor(named: ties.head), let own = other.tensor(named: ties.embedding) else { continue }
      isUntied = try !other.areEqual(head, own)
    }
    guard isUntied else { return nil }
    var aliases = source.tensor(named: ties.head) == nil ? [ties.head: ties.embedding] : [:]
    if let bias = ties.bias, others.contains(where: { $0.tensor(named: bias.head) != nil }) {
      aliases[bias.head] = bias.own
    }
    return aliases
  }
}

extension Checkpoint {
  /// The model with its output layer and its embedding as two tensors, and a configuration that says so, where
  /// `AdapterBase.aliases(asIn:)` finds that they are to be two; otherwise the model as it is.
  package func untied(asIn others: [any TensorSource]) throws(StorageError) -> Checkpoint {
    guard let aliases = try AdapterBase(self).aliases(asIn: others) else { return self }
    var changes = ConfigurationChanges()
    changes.tiesEmbeddings = false
    return try replacing(source.aliased(aliases)).applying(changes)
  }
}

extension TensorSource {
  /// The same tensors, some of them under further names.
  ///
  /// - Parameter aliases: names that this source lacks, with those of its tensors that they are to stand for.
  package func aliased(_ aliases: [String: String]) throws(StorageError) -> any TensorSource {
    let infos = aliases.compactMapValues { tensor(named: $0) }
    return infos.isEmpty ? self : try AliasedSource(self, aliases: infos)
  }
}
