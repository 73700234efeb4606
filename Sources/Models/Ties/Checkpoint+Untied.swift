import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension Checkpoint {
  /// The model with its output layer and its embedding as two tensors, and a configuration that says so, if they are tied
  /// here and are two that differ in one of the models that are to be merged with it; otherwise the model as it is.
  ///
  /// peft leaves such a model behind where `modules_to_save` names one of the two.
  package func untied(asIn others: [any TensorSource]) throws(StorageError) -> Checkpoint {
    let model = try AdapterBase(self)
    guard let ties = try TiedEmbeddings(of: model), let embedding = source.tensor(named: ties.embedding),
      let configuration = carriedFiles.first(where: { $0.name.text == ConfigurationChanges.fileName })
    else { return self }
    var isUntied = false
    for other in others where !isUntied {
      guard let head = other.tensor(named: ties.head), let own = other.tensor(named: ties.embedding) else { continue }
      isUntied = try !other.areEqual(head, own)
    }
    guard isUntied else { return self }
    var changes = ConfigurationChanges()
    changes.tiesEmbeddings = false
    let changed = CarriedFile(
      name: configuration.name, path: configuration.path,
      changedTo: changes.applied(to: try configuration.content.bytes()))
    var aliases = source.tensor(named: ties.head) == nil ? [ties.head: embedding] : [:]
    if let bias = ties.bias, others.contains(where: { $0.tensor(named: bias.head) != nil }) {
      aliases[bias.head] = source.tensor(named: bias.own)
    }
    return Checkpoint(
      path: path, layout: layout,
      source: aliases.isEmpty ? source : try AliasedSource(source, aliases: aliases), weightFiles: weightFiles,
      carriedFiles: carriedFiles.map { $0.name == configuration.name ? changed : $0 }, skippedFiles: skippedFiles,
      stamps: stamps)
  }
}
