import TMPackByteIO

/// The output layer and the input embedding of a model that has one weight for both.
///
/// As transformers 5.24 has it: `tie_word_embeddings`, by default as the kind of model has it, and tied unless the file
/// holds an output layer that differs.
package struct TiedEmbeddings: Sendable, Equatable {
  /// The base's tensor.
  package let embedding: String
  /// Which the base's file may lack.
  package let head: String

  /// Output layers by the embeddings that they are tied to, as the models' `_tied_weights_keys` have them.
  private static let pairs: [(head: String, embedding: String)] = [
    ("lm_head.weight", "model.embed_tokens.weight"), ("lm_head.weight", "model.language_model.embed_tokens.weight"),
    ("lm_head.weight", "transformer.wte.weight"), ("lm_head.weight", "gpt_neox.embed_in.weight"),
    ("lm_head.weight", "backbone.embeddings.weight"), ("lm_head.weight", "transformer.word_embeddings.weight"),
    ("lm_head.weight", "model.decoder.embed_tokens.weight"), ("lm_head.weight", "model.text_model.embed_tokens.weight"),
    ("lm_head.weight", "transformer.tokens_embed.weight"), ("lm_head.weight", "model.shared.weight"),
    ("language_model.lm_head.weight", "language_model.model.embed_tokens.weight"),
    ("proj_out.weight", "model.decoder.embed_tokens.weight"),
    ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    ("cls.predictions.decoder.weight", "deberta.embeddings.word_embeddings.weight"),
    ("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"),
    ("vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"),
    ("decoder.weight", "model.embeddings.tok_embeddings.weight"),
    // As checkpoints of the bare model have the embedding.
    ("lm_head.weight", "wte.weight"), ("lm_head.weight", "embed_tokens.weight"),
    ("lm_head.weight", "word_embeddings.weight"),
  ]

  /// Kinds of models whose configuration says nothing and means tied.
  private static let tiedByDefault: Set<String> = [
    "albert", "bart", "bert", "bloom", "camembert", "codegen", "cohere", "cohere2", "deberta", "deberta-v2",
    "distilbert",
    "electra", "falcon", "falcon_mamba", "gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gpt2",
    "gpt_bigcode", "gpt_neo", "mamba", "marian", "mbart", "modernbert", "mpt", "openai-gpt", "opt", "paligemma",
    "pegasus", "roberta", "smollm3", "whisper", "xlm-roberta",
  ]

  /// Ends of the names of classes that have an output layer for tokens.
  private static let generating = [
    "ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining",
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
    let candidates = Self.pairs.filter { base.source.tensor(named: $0.embedding) != nil }
    let present = candidates.first { base.source.tensor(named: $0.head) != nil }
    guard isTied, let pair = present ?? Self.usual(candidates, architecture) else { return nil }
    if let head = base.source.tensor(named: pair.head), let embedding = base.source.tensor(named: pair.embedding) {
      guard head.matches(embedding), try base.source.bytes(of: head).hasSameBytes(as: base.source.bytes(of: embedding))
      else { return nil }
    }
    (embedding, head) = (pair.embedding, pair.head)
  }

  /// Whisper and its like call the output layer otherwise, with an embedding of the usual name.
  private static func usual(
    _ candidates: [(head: String, embedding: String)], _ architecture: String
  ) -> (head: String, embedding: String)? {
    let isSpeech = ["Whisper", "Moonshine"].contains { architecture.hasPrefix($0) }
    return candidates.first { ($0.head == "proj_out.weight") == isSpeech }
  }
}
