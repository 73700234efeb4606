import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// What becomes another in a model's `config.json` by what was done to its tensors, so that `transformers` loads what was written.
///
/// A file in which nothing changes keeps every byte.
package struct ConfigurationChanges: Sendable, Equatable {
  /// Of all tensors of float dtypes, once they were converted: `dtype`, and `torch_dtype` as it was called before transformers 5.
  package var dtype: DType?
  /// Rows of the embeddings: `vocab_size`.
  package var vocabularySize: Int?
  /// `tie_word_embeddings`
  package var tiesEmbeddings: Bool?
  /// The class of a model that was given a head for labels, and how many there are: `architectures`, `id2label`, `label2id`.
  package var classifier: Classifier?
  /// Whether codes were decoded, so that `quantization_config` and its like describe nothing any more.
  package var isDequantized = false

  package struct Classifier: Sendable, Equatable {
    package let architecture: String
    package let labels: Int

    package init(architecture: String, labels: Int) { (self.architecture, self.labels) = (architecture, labels) }
  }

  package init(dtype: DType? = nil) { self.dtype = dtype }

  package var isEmpty: Bool { self == ConfigurationChanges() }

  package static let fileName = "config.json"

  /// Names of the element type, also in the configurations of a model's parts.
  private static let dtypeMembers = ["dtype", "torch_dtype"]
  /// How a model's codes are described: by transformers, by compressed-tensors of 2023, by MLX.
  private static let quantizationMembers = ["quantization_config", "compression_config", "quantization"]

  /// The same files, with every `config.json` among them, those of a pipeline's components too, as it must be now.
  package func applied(to files: [CarriedContent]) -> [CarriedContent] {
    guard !isEmpty else { return files }
    return files.map { file in
      guard file.name.text == Self.fileName || file.name.text.hasSuffix("/\(Self.fileName)") else { return file }
      return CarriedContent(file.name) { () throws(StorageError) in applied(to: try file.bytes()) }
    }
  }

  /// What is no object stays as it is: it is none of transformers'.
  package func applied(to bytes: [UInt8]) -> [UInt8] {
    guard var text = ConfigurationText(bytes) else { return bytes }
    let objects = text.objects
    for path in objects {
      if let dtype, let name = dtype.torchName {
        for member in Self.dtypeMembers where text[path + [member]].isText {
          text.set(member, in: path, to: .string(name))
        }
      }
      if isDequantized {
        for member in Self.quantizationMembers { text.remove(member, in: path) }
      }
    }
    if let vocabularySize { set("vocab_size", to: JSONValue(vocabularySize), in: &text) }
    if let classifier {
      // As transformers names labels that nobody has named.
      let names = (0..<classifier.labels).map { (index: $0, name: "LABEL_\($0)") }
      text.set("architectures", to: .array([.string(classifier.architecture)]))
      text.set("id2label", to: .object(JSONObject(names.map { ("\($0.index)", .string($0.name)) })))
      text.set("label2id", to: .object(JSONObject(names.map { ($0.name, JSONValue($0.index)) })))
    }
    if let tiesEmbeddings { set("tie_word_embeddings", to: .bool(tiesEmbeddings), in: &text) }
    return text.bytes
  }

  /// A configuration with what another one says of codes.
  package static func describingCodes(_ bytes: [UInt8], as coded: [UInt8]) -> [UInt8] {
    guard var text = ConfigurationText(bytes), let other = ConfigurationText(coded) else { return bytes }
    for member in quantizationMembers {
      if let value = other[[member]] { text.set(member, to: value) }
    }
    return text.bytes
  }

  /// The same of a model's files.
  package static func describingCodes(_ files: [CarriedContent], as coded: [CarriedContent]) -> [CarriedContent] {
    guard let other = coded.first(where: { $0.name.text == fileName }) else { return files }
    return files.map { file in
      guard file.name.text == fileName else { return file }
      return CarriedContent(file.name) { () throws(StorageError) in
        describingCodes(try file.bytes(), as: try other.bytes())
      }
    }
  }

  /// Where the member is, in the whole, in the configuration of the language model, or both; otherwise anew.
  private func set(_ member: String, to value: JSONValue, in text: inout ConfigurationText) {
    let places = [[], ["text_config"]].filter { text[$0 + [member]] != nil }
    for place in places.isEmpty ? [[]] : places { text.set(member, in: place, to: value) }
  }
}

extension JSONValue? {
  fileprivate var isText: Bool { if case .string = self { true } else { false } }
}

extension DType {
  /// What PyTorch calls it; nil for what it has under no name of one number.
  package var torchName: String? {
    switch self {
    case .f64: "float64"
    case .f32: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    case .f8e4m3: "float8_e4m3fn"
    case .f8e5m2: "float8_e5m2"
    default: nil
    }
  }
}
