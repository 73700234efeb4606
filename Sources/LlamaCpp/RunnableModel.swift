import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackTensorKit

/// A model of transformers as llama.cpp runs it: its tensors under llama.cpp's names, its numbers, tokenizer and chat template
/// as metadata (Spec/gguf-models.md).
///
/// ```swift
/// if let model = try RunnableModel(checkpoint.source, files: checkpoint.carriedFiles.map(\.content)) {
///   try CheckpointDestination("llama.gguf").write(model.source)
/// }
/// ```
package struct RunnableModel {
  package let source: any TensorSource
  /// What a person should know of how llama.cpp will run it; a sentence each.
  package let notes: [String]
  /// Names of the model's tensors that one of these is made of, none where its columns are not theirs.
  package let originals: @Sendable (String) -> [String]

  /// - Parameter files: those that travel with the tensors: `config.json`, `tokenizer.json` and others.
  /// - Returns: nil where no file says what model it is, or llama.cpp's network for it is not known here.
  /// - Throws: `unsupportedFeature` for what llama.cpp's network does not do, or has no place for; `malformed` for what is missing
  ///   or wrong in the files or among the tensors; what reading the files throws.
  package init?(_ source: any TensorSource, files: [CarriedContent]) throws(StorageError) {
    guard let settings = try ModelSettings(in: files), let network = Network.of(modelType: settings.modelType) else {
      return nil
    }
    let metadata = try NetworkMetadata(network, settings)
    let assignment = try TensorAssignment(source, network, metadata)
    let embedding = assignment.tensors.first { $0.info.name == "token_embd.weight" }!
    let rows = embedding.info.shape.dimensions.first ?? 0
    try Limits.check(rows, atMost: Limits.tokens, "the number of tokens")

    var entries: [TypedMetadata.Entry] = [
      .init(key: "general.architecture", value: .string(network.name)),
      .init(key: "general.type", value: .string("model")),
      // Made anew when it is known how the tensors are stored.
      .init(key: "general.file_type", value: .uint32(0)),
    ]
    entries += metadata.entries
    entries.append(.init(key: "\(network.name).vocab_size", value: .uint32(UInt32(rows))))
    var notes = metadata.notes + assignment.notes
    if network.traits.contains(.isEncoder) { entries += try PoolingFile.entries(of: network.name, files) }
    let words = try Words(files, rows: rows)
    entries += words.entries
    notes += words.notes
    if network.name == "bert" {
      let types = assignment.tensors.first { $0.info.name == "token_types.weight" }!
      entries.append(
        .init(
          key: "tokenizer.ggml.token_type_count", value: .uint32(UInt32(types.info.shape.dimensions.first ?? 1))))
    }
    self.notes = notes
    let runtime = RuntimeSource(
      source, assignment.tensors, metadata: try TypedMetadata(entries: entries),
      heads: (metadata.headCount, metadata.keyHeadCount), queryScale: metadata.queryScale)
    self.source = runtime
    originals = { runtime.originals(of: $0) }
  }

  /// Whether a tensor stays in F32 whatever dtype a model is to have.
  package static func isKeptInFull(_ info: TensorInfo) -> Bool {
    info.shape.dimensions.count < 2 || GGUFTensorName.isKeptInFull(info.name)
  }

  /// Whether llama.cpp's network for the model is known here.
  package static func isKnown(_ files: [CarriedContent]) throws(StorageError) -> Bool {
    try ModelSettings(in: files).map { Network.of(modelType: $0.modelType) != nil } ?? false
  }

  /// What to tell of a file that llama.cpp will not run.
  package static func noteOfStorage(_ files: [CarriedContent]) throws(StorageError) -> String {
    let known = Network.all.flatMap { $0.modelTypes.sorted() }.joined(separator: ", ")
    let reason =
      if let settings = try ModelSettings(in: files) { "for \(settings.modelType) it is not written here" } else {
        "no config.json says which model it is"
      }
    return "tensors keep their names, and llama.cpp will not run the file: \(reason) (known: \(known))"
  }
}

/// What llama.cpp knows of texts.
private struct Words {
  var entries: [TypedMetadata.Entry] = []
  var notes: [String] = []

  init(_ files: [CarriedContent], rows: Int) throws(StorageError) {
    func file(_ name: String) -> CarriedContent? { files.first { $0.name.text == name } }
    func object(_ name: String) throws(StorageError) -> JSONObject? {
      guard let file = file(name) else { return nil }
      let text = try file.bytes()
      return try located(file: name) { () throws(StorageError) in
        try JSONValue(parsing: text, maximumDepth: Limits.tokenizerDepth).asObject("the file")
      }
    }
    guard let tokenizer = file(TokenizerFile.fileName) else {
      leaveOut("there is no \(TokenizerFile.fileName)")
      return
    }
    let text = try tokenizer.bytes()
    let parsed = try located(file: TokenizerFile.fileName) { () throws(StorageError) in
      try text.withBytes { raw throws(StorageError) in try TokenizerFile(parsing: raw) }
    }
    let configuration = try object("tokenizer_config.json") ?? [:]
    let models = [try object("generation_config.json"), (try? object(ModelSettings.fileName)) ?? nil].compactMap { $0 }
    do throws(Vocabulary.Unsupported) {
      let vocabulary = try Vocabulary(parsed, rows: rows, configuration: configuration, models: models)
      entries += vocabulary.entries
      notes += vocabulary.notes
    } catch {
      leaveOut("the tokenizer \(error.reason)")
      return
    }
    entries += try ChatTemplates(configuration, files).entries
  }

  /// A file without a tokenizer runs on numbers of tokens.
  private mutating func leaveOut(_ reason: String) {
    entries.append(.init(key: "tokenizer.ggml.model", value: .string("none")))
    notes.append("no tokenizer is in the file, and llama.cpp will take ids of tokens only: \(reason)")
  }
}
