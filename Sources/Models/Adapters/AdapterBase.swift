import ByteIO
import Checkpoints
import TensorKit

/// The model that an adapter is for: its tensors, and what its `config.json` says of them.
public struct AdapterBase: Sendable {
  package let source: any TensorSource
  /// `config.json`, where the model has one.
  package let configuration: ModelConfigurationFile?

  public init(_ checkpoint: Checkpoint) throws(StorageError) {
    try self.init(checkpoint.source, files: checkpoint.carriedFiles.map(\.content))
  }

  /// nil for no model.
  public init?(_ checkpoint: Checkpoint?) throws(StorageError) {
    guard let checkpoint else { return nil }
    try self.init(checkpoint)
  }

  /// - Parameter files: those that travel with the tensors; of interest is `config.json`.
  /// - Throws: `malformed` for a configuration that is no JSON object; what reading it throws.
  public init(_ source: any TensorSource, files: [CarriedContent] = []) throws(StorageError) {
    self.source = source
    configuration = try files.first { $0.name.text == ModelConfigurationFile.name }
      .map { file throws(StorageError) in try ModelConfigurationFile(file.bytes()) }
  }

  private init(_ source: any TensorSource, _ configuration: ModelConfigurationFile?) {
    (self.source, self.configuration) = (source, configuration)
  }

  /// The same model, whose tensors are seen otherwise.
  package func replacing(_ source: any TensorSource) -> AdapterBase { AdapterBase(source, configuration) }
}

/// A model's `config.json`, to be read and to be written with a few members changed.
package struct ModelConfigurationFile: Sendable, Equatable {
  package static let name = "config.json"
  package private(set) var object: JSONObject

  package init(_ text: [UInt8]) throws(StorageError) {
    object = try located(file: Self.name) { () throws(StorageError) in
      try JSONValue(parsing: text).asObject("the model's configuration")
    }
  }

  /// Of a model made of several, where the language model's is.
  private static let textMember = "text_config"

  package var modelType: String? {
    if case .string(let type)? = object["model_type"] { type } else { nil }
  }

  package var architecture: String? {
    if case .array(let names)? = object["architectures"], case .string(let name)? = names.first { name } else { nil }
  }

  /// A member of the configuration, or else of its language model's.
  package func member(_ name: String) -> JSONValue? {
    if let value = object[name] { return value }
    guard case .object(let text)? = object[Self.textMember] else { return nil }
    return text[name]
  }

  /// Sets a member where it is: in the configuration, in its language model's, in both, or new.
  package mutating func set(_ name: String, to value: JSONValue) {
    var isNew = true
    if case .object(var text)? = object[Self.textMember], text[name] != nil {
      text[name] = value
      object[Self.textMember] = .object(text)
      isNew = false
    }
    if object[name] != nil || isNew { object[name] = value }
  }

  package var bytes: [UInt8] { Array((JSONValue.object(object).prettyText + "\n").utf8) }
}
