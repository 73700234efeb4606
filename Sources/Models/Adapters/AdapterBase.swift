import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// The model that an adapter is for: its tensors, and what its `config.json` says of them.
package struct AdapterBase: Sendable {
  package let source: any TensorSource
  package let files: [CarriedContent]
  /// `config.json`, where the model has one.
  package let configuration: ConfigurationText?

  package init(_ checkpoint: Checkpoint) throws(StorageError) {
    try self.init(checkpoint.source, files: checkpoint.carriedFiles.map(\.content))
  }

  /// nil for no model.
  package init?(_ checkpoint: Checkpoint?) throws(StorageError) {
    guard let checkpoint else { return nil }
    try self.init(checkpoint)
  }

  /// - Parameter files: those that travel with the tensors; of interest is `config.json`.
  /// - Throws: what reading it throws.
  package init(_ source: any TensorSource, files: [CarriedContent] = []) throws(StorageError) {
    self.source = source
    self.files = files
    configuration = try files.first { $0.name.text == ConfigurationChanges.fileName }
      .flatMap { file throws(StorageError) in ConfigurationText(try file.bytes()) }
  }

  /// The same model, whose tensors are seen otherwise.
  package func replacing(_ source: any TensorSource) throws(StorageError) -> AdapterBase {
    try AdapterBase(source, files: files)
  }

  /// As `LlamaForCausalLM`: the model's class.
  var architecture: String? {
    if case .array(let names)? = configuration?[["architectures"]], case .string(let name)? = names.first {
      name
    } else {
      nil
    }
  }

  /// As `llama`.
  var modelType: String? {
    if case .string(let type)? = configuration?[["model_type"]] { type } else { nil }
  }

  /// A member of the configuration, or else of its language model's.
  func member(_ name: String) -> JSONValue? { configuration?[[name]] ?? configuration?[["text_config", name]] }
}
