import TMPackByteIO

/// The output layer and the input embedding of a model that has one weight for both.
///
/// As transformers 5.24 has it: `tie_word_embeddings`, by default as the kind of model has it, and tied unless the file
/// holds an output layer that differs.
package struct TiedEmbeddings: Sendable {
  /// The base's tensor.
  package let embedding: String
  /// Which the base's file may lack.
  package let head: String
  /// The output layer's bias, where the file has it under the other name that it is tied to.
  package private(set) var bias: (head: String, own: String)?
  /// Whether more is tied to the embedding: those of an encoder and a decoder.
  package let isShared: Bool

  /// Ends of the names of classes that have an output layer for tokens.
  private static let generating = [
    "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining", "MTModel",
    "ForTextToText", "ForSpeechToText", "ForTextToSpeech", "ForSpeechToSpeech", "SeamlessM4TModel",
    "SeamlessM4Tv2Model", "ForVisionText2Text", "ForCausalImageModeling", "BertGenerationDecoder",
    "BlipForQuestionAnswering",
  ]

  /// nil for a model whose weights are not tied so, or of which that is not known.
  ///
  /// Reads both tensors where the file has both.
  package init?(of base: AdapterBase) throws(StorageError) {
    guard let architecture = base.architecture, Self.generating.contains(where: architecture.hasSuffix) else {
      return nil
    }
    let isTied =
      if case .bool(let value)? = base.member("tie_word_embeddings") { value } else {
        base.modelType.map(Self.tiedByDefault.contains) ?? false
      }
    // A head that is there tells which of the names it has.
    let candidates = Self.embeddings.flatMap { entry in entry.embeddings.map { (head: entry.head, embedding: $0) } }
      .filter { base.source.tensor(named: $0.embedding) != nil }
    let present = candidates.first { base.source.tensor(named: $0.head) != nil }
    guard isTied, let pair = present ?? Self.usual(candidates, architecture) else { return nil }
    if let head = base.source.tensor(named: pair.head), let embedding = base.source.tensor(named: pair.embedding) {
      guard head.matches(embedding), try base.source.bytes(of: head).hasSameBytes(as: base.source.bytes(of: embedding))
      else { return nil }
    }
    (embedding, head) = (pair.embedding, pair.head)
    isShared = embedding.hasSuffix("shared.weight") || architecture.hasPrefix("T5Gemma")
    bias = Self.biases.first { bias in
      bias.head.dropLast("bias".count) == head.dropLast("weight".count) && base.source.tensor(named: bias.own) != nil
        && base.source.tensor(named: bias.head) == nil
    }
  }

  private static func usual(
    _ candidates: [(head: String, embedding: String)], _ architecture: String
  ) -> (head: String, embedding: String)? {
    if let wanted = unusualHeads.first(where: { architecture.hasPrefix($0.0) })?.1 {
      return candidates.first { $0.head == wanted }
    }
    return candidates.first { pair in !unusualHeads.contains { $0.1 == pair.head } } ?? candidates.first
  }

  /// Names of all tensors that have a row for each token, in any model.
  static let ofVocabulary = Set(
    embeddings.flatMap { [$0.head] + $0.embeddings } + biases.flatMap { [$0.head, $0.own] })
}

extension TiedEmbeddings: Equatable {
  package static func == (first: TiedEmbeddings, second: TiedEmbeddings) -> Bool {
    first.embedding == second.embedding && first.head == second.head
  }
}
