import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackLlamaCpp
import TMPackTensorKit
import TestSupport
import Testing

/// What llama.cpp is told of texts: Spec/gguf-models.md, rules 12 to 18.
@Suite struct TokenizerTests {
  private static let gpt2 = """
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}
    """

  private static func cut(_ pattern: String) -> String {
    """
    {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": \(JSONValue.string(pattern).compactText)}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}
    """
  }

  private static let llama3 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// Of five rows: three tokens, an added one, and one that is missing.
  private static func bytePairs(
    _ preTokenizer: String = gpt2, ignoringMerges: Bool = false, normalizer: String = "null", post: String = "null"
  ) -> String {
    """
    {"version": "1.0", "added_tokens": [{"id": 3, "content": "<|end|>", "special": true}], "normalizer": \(normalizer),
     "pre_tokenizer": \(preTokenizer), "post_processor": \(post), "decoder": {"type": "ByteLevel"},
     "model": {"type": "BPE", "ignore_merges": \(ignoringMerges), "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}
    """
  }

  private func metadata(_ tokenizer: String, _ others: [CarriedContent] = []) throws -> (any TensorSource, [String]) {
    let model = try #require(try TinyLlama.model(files: [file("tokenizer.json", tokenizer)] + others))
    return (model.source, model.notes)
  }

  @Test func bytePairsKeepTokensMergesAndTypes() throws {
    let (source, notes) = try metadata(Self.bytePairs())
    #expect(source.value("tokenizer.ggml.model") == .string("gpt2"))
    #expect(source.value("tokenizer.ggml.pre") == .string("gpt-2"))
    #expect(source.value("tokenizer.ggml.tokens") == .array(.string(["a", "b", "ab", "<|end|>", "[PAD4]"])))
    #expect(source.value("tokenizer.ggml.token_type") == .array(.int32([1, 1, 1, 3, 5])))
    #expect(source.value("tokenizer.ggml.merges") == .array(.string(["a b"])))
    #expect(source.value("tokenizer.ggml.add_bos_token") == .bool(false))
    #expect(notes.isEmpty)
    let old = Self.bytePairs().replacing("[[\"a\", \"b\"]]", with: "[\"a b\"]")
    #expect(try metadata(old).0.typedMetadata == source.typedMetadata)
  }

  @Test func waysOfCuttingHaveNames() throws {
    func name(_ text: String) throws -> MetadataValue? { try metadata(text).0.value("tokenizer.ggml.pre") }
    let llama3 = Self.cut(Self.llama3)
    #expect(try name(Self.bytePairs(llama3, ignoringMerges: true)) == .string("llama-bpe"))
    #expect(try name(Self.bytePairs(llama3)) == .string("dbrx"))
    let qwen2 = Self.cut(Self.llama3.replacing("{1,3}", with: ""))
    #expect(try name(Self.bytePairs(qwen2, normalizer: "{\"type\": \"NFC\"}")) == .string("qwen2"))
    let spelled = Self.cut(Self.llama3.replacing(#"\r"#, with: "\r").replacing(#"\n"#, with: "\n"))
    #expect(try name(Self.bytePairs(spelled)) == .string("dbrx"))
    let digits = """
      {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
       {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]}
      """
    #expect(try name(Self.bytePairs(digits)) == .string("smollm"))
  }

  @Test(arguments: [
    bytePairs(cut("\\\\w+")), bytePairs("null"), bytePairs(normalizer: "{\"type\": \"Lowercase\"}"),
    bytePairs("{\"type\": \"ByteLevel\", \"add_prefix_space\": true}"),
    "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}}}",
    "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1.5]]}}", "{}",
    bytePairs().replacing("<|end|>", with: "ab"),
  ]) func whatLlamaCppCannotFollowIsLeftOut(_ text: String) throws {
    let (source, notes) = try metadata(text)
    #expect(source.value("tokenizer.ggml.model") == .string("none"))
    #expect(source.value("tokenizer.ggml.tokens") == nil)
    #expect(notes.contains { $0.contains("no tokenizer is in the file") })
  }

  @Test func whatStandsAroundATextIsOfTheTemplate() throws {
    let post = """
      {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}]}
      """
    let configuration =
      "{\"bos_token\": {\"content\": \"<|end|>\"}, \"eos_token\": \"b\", \"chat_template\": \"{{ x }}\"}"
    let (source, _) = try metadata(Self.bytePairs(post: post), [file("tokenizer_config.json", configuration)])
    #expect(source.value("tokenizer.ggml.add_bos_token") == .bool(true))
    #expect(source.value("tokenizer.ggml.bos_token_id") == .uint32(3))
    #expect(source.value("tokenizer.ggml.eos_token_id") == .uint32(1))
    #expect(source.value("tokenizer.chat_template") == .string("{{ x }}"))
    let without = "{\"bos_token\": \"<|end|>\", \"add_bos_token\": false}"
    let (other, _) = try metadata(
      Self.bytePairs(post: post),
      [
        file("tokenizer_config.json", without), file("chat_template.jinja", "{{ y }}"),
        file("additional_chat_templates/tools.jinja", "{{ z }}"),
        file("generation_config.json", "{\"eos_token_id\": [2, 1]}"),
      ])
    #expect(other.value("tokenizer.ggml.add_bos_token") == .bool(false))
    #expect(other.value("tokenizer.ggml.eos_token_id") == .uint32(2))
    #expect(other.value("tokenizer.chat_template") == .string("{{ y }}"))
    #expect(other.value("tokenizer.chat_template.tools") == .string("{{ z }}"))
    #expect(other.value("tokenizer.chat_templates") == .array(.string(["tools"])))
  }

  /// All single bytes, ▁, two letters, and what they make.
  private static func pieces() -> String {
    let digits = Array("0123456789ABCDEF")
    var tokens = ["<unk>", "<s>", "</s>"]
    for byte in 0..<256 { tokens.append("<0x\(digits[byte / 16])\(digits[byte % 16])>") }
    tokens += ["▁", "a", "b", "ab", "▁ab"]
    let vocabulary = tokens.enumerated().map { "\(JSONValue.string($0.element).compactText): \($0.offset)" }
    return """
      {"added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "<s>", "special": true}],
       "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
         {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, "pre_tokenizer": null,
       "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "vocab": {\(vocabulary.joined(separator: ", "))},
         "merges": ["a b", "▁ ab", "▁a b"]}}
      """
  }

  private func llama(rows: Int, _ tokenizer: String) throws -> any TensorSource {
    try #require(
      try TinyLlama.model(files: [file("tokenizer.json", tokenizer)]) { shapes in
        shapes["model.embed_tokens.weight"] = [rows, 4]
        shapes["lm_head.weight"] = [rows, 4]
      }
    ).source
  }

  @Test func scoresOfPiecesAreRanksOfMerges() throws {
    let source = try llama(rows: 264, Self.pieces())
    #expect(source.value("tokenizer.ggml.model") == .string("llama"))
    #expect(source.value("tokenizer.ggml.add_space_prefix") == .bool(true))
    guard case .array(.float32(let scores))? = source.value("tokenizer.ggml.scores"),
      case .array(.int32(let types))? = source.value("tokenizer.ggml.token_type")
    else {
      Issue.record("no scores or types")
      return
    }
    #expect(Array(scores[259...]) == [-1e6, -1e6, -1e6, 0, -1])
    #expect(Array(types[..<4]) == [3, 3, 1, 6])
    #expect(source.value("tokenizer.ggml.unknown_token_id") == .uint32(0))
    let bare = try llama(rows: 264, Self.pieces().replacing("<0x0A>", with: "<0x0a>"))
    #expect(bare.value("tokenizer.ggml.model") == .string("none"))
  }

  @Test func piecesOfWordsChangeTheirMarks() throws {
    let text = """
      {"added_tokens": [{"id": 0, "content": "[CLS]", "special": true}, {"id": 1, "content": "[SEP]", "special": true}],
       "normalizer": {"type": "BertNormalizer", "lowercase": false, "strip_accents": null},
       "pre_tokenizer": {"type": "BertPreTokenizer"},
       "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]},
       "model": {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"[CLS]": 0, "[SEP]": 1, "a": 2, "##a": 3}}}
      """
    let (source, _) = try metadata(text)
    #expect(source.value("tokenizer.ggml.model") == .string("bert"))
    #expect(source.value("tokenizer.ggml.tokens") == .array(.string(["[CLS]", "[SEP]", "▁a", "a", "[PAD4]"])))
    #expect(source.value("tokenizer.ggml.bos_token_id") == .uint32(0))
    #expect(source.value("tokenizer.ggml.seperator_token_id") == .uint32(1))
    #expect(source.value("tokenizer.ggml.normalizer.lowercase") == .bool(false))
  }

  @Test func hostileTokenizersAreErrors() throws {
    for (text, expected) in [
      ("[]", StorageError.Code.malformed), ("{\"model\": 1}", .malformed),
      ("{\"model\": {\"vocab\": {\"a\": 4194304}}}", .limitExceeded),
      ("{\"model\": {\"vocab\": {\"a\": 1, \"b\": 1}}}", .malformed),
      ("{\"model\": {\"vocab\": {\"a\": -1}}}", .malformed), ("{\"model\": {\"merges\": [\"ab\"]}}", .malformed),
      ("{\"model\": {\"merges\": [[\"a\"]]}}", .malformed), ("{\"added_tokens\": [{\"id\": 1}]}", .malformed),
      (String(repeating: "{\"a\":", count: 40), .limitExceeded), ("{\"normalizer\": ", .malformed),
    ] {
      let error = failure { _ = try metadata(text) }
      #expect(error?.code == expected, "\(text)")
      #expect(error?.file == "tokenizer.json")
    }
    var random = SeededGenerator(seed: 5)
    let whole = Array(Self.bytePairs(Self.cut(Self.llama3)).utf8)
    for _ in 0..<1500 {
      let text = whole.mutated(using: &random)
      _ = try? RunnableModel(
        TinyLlama.source(),
        files: [
          file("config.json", TinyLlama.configuration), CarriedContent(try CarriedFileName("tokenizer.json")) { text },
        ])
    }
  }
}
