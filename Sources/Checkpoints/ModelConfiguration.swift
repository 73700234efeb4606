import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What `config.json` says of a model, as `transformers` writes it.
enum ModelConfiguration {
  static let fileName = "config.json"

  /// Which network it is (`model_type`); nil when no file says so.
  static func modelType(in files: [CarriedContent]) throws(StorageError) -> String? {
    guard let file = files.first(where: { $0.name.text == fileName }) else { return nil }
    let text = try file.bytes()
    guard let value = try? JSONValue(parsing: text), case .object(let members) = value,
      case .string(let type) = members["model_type"]
    else { return nil }
    return type
  }
}

extension WritableFormat {
  /// The source with the metadata that the format demands, where the model's other files tell them: all that a GGUF file had, or
  /// as `general.architecture` the `model_type` of `config.json`.
  package func described(
    _ source: any TensorSource, by files: [CarriedContent]
  ) throws(StorageError) -> any TensorSource {
    guard self == .gguf else { return source }
    if let metadata = try GGUFMetadataFile.metadata(in: files) { return DescribedSource(source, metadata: metadata) }
    guard source.typedMetadata[GGUFKey.architecture] == nil,
      let type = try ModelConfiguration.modelType(in: files)
    else { return source }
    var metadata = source.typedMetadata
    metadata[GGUFKey.architecture] = .string(type)
    return DescribedSource(source, metadata: metadata)
  }
}
