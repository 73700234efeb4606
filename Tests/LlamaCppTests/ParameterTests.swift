import TMPackByteIO
import TMPackCheckpoints
import TMPackLlamaCpp
import TMPackTensorKit
import TestSupport
import Testing

/// What llama.cpp is told of a network: Spec/gguf-models.md, rules 8 to 11 and 19.
@Suite struct ParameterTests {
  /// The configuration with members in place of others.
  private func configuration(_ members: String, without names: [String] = []) -> String {
    let lines = TinyLlama.configuration.dropFirst().dropLast().split(separator: ",").filter { line in
      !names.contains { line.contains("\"\($0)\"") }
    }
    return "{\(([members] + lines.map(String.init)).filter { !$0.isEmpty }.joined(separator: ","))}"
  }

  @Test func numbersHaveTheirKeysAndTypes() throws {
    let source = try #require(try TinyLlama.model()).source
    let expected: [(String, MetadataValue)] = [
      ("general.architecture", .string("llama")), ("llama.context_length", .uint32(64)),
      ("llama.embedding_length", .uint32(4)), ("llama.block_count", .uint32(1)),
      ("llama.feed_forward_length", .uint32(3)), ("llama.attention.head_count", .uint32(2)),
      ("llama.attention.head_count_kv", .uint32(1)), ("llama.attention.layer_norm_rms_epsilon", .float32(1e-5)),
      ("llama.attention.key_length", .uint32(4)), ("llama.attention.value_length", .uint32(4)),
      ("llama.rope.dimension_count", .uint32(4)), ("llama.rope.freq_base", .float32(500_000)),
      ("llama.vocab_size", .uint32(5)), ("tokenizer.ggml.model", .string("none")),
    ]
    for (key, value) in expected { #expect(source.value(key) == value, "\(key)") }
  }

  @Test func anUnknownModelIsNone() throws {
    #expect(try RunnableModel(TinyLlama.source(), files: []) == nil)
    #expect(try TinyLlama.model("{\"model_type\": \"mamba\"}") == nil)
    #expect(try TinyLlama.model("no JSON") == nil)
  }

  /// As `rope_parameters` of transformers 5 and as `rope_scaling` of 4; the values are those of transformers 5.24.
  @Test(arguments: ["rope_parameters", "rope_scaling"]) func frequenciesOfLlama3AreATensor(_ member: String) throws {
    let text = configuration(
      """
      "\(member)": {"rope_type": "llama3", "rope_theta": 16.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 28}, "head_dim": 8
      """, without: ["head_dim", "rope_theta"])
    let model = try #require(
      try TinyLlama.model(text) { shapes in
        shapes["model.layers.0.self_attn.q_proj.weight"] = [16, 4]
        shapes["model.layers.0.self_attn.k_proj.weight"] = [8, 4]
      })
    let factors = try floats(of: model.source, "rope_freqs.weight")
    let expected: [Float] = [1, 2.06946778, 6.31813002, 8]
    #expect(factors.count == expected.count)
    for (factor, expected) in zip(factors, expected) { #expect(abs(factor / expected - 1) < 1e-6) }
  }

  @Test func otherScalingsOfTheRotation() throws {
    func model(_ scaling: String) throws -> RunnableModel? {
      try TinyLlama.model(configuration("\"rope_scaling\": {\(scaling)}"))
    }
    let linear = try #require(try model("\"type\": \"linear\", \"factor\": 4"))
    #expect(linear.source.value("llama.rope.scaling.type") == .string("linear"))
    #expect(linear.source.value("llama.rope.scaling.factor") == .float32(4))
    let yarn = try #require(
      try model("\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 16"))
    #expect(yarn.source.value("llama.rope.scaling.original_context_length") == .uint32(16))
    let dynamic = try #require(try model("\"type\": \"dynamic\", \"factor\": 2.0"))
    #expect(dynamic.notes.contains { $0.contains("64 tokens") })
    #expect(code { _ = try model("\"type\": \"longrope\"") } == .unsupportedFeature)
    #expect(code { _ = try model("\"type\": \"made-up\"") } == .unsupportedFeature)
    #expect(code { _ = try model("\"type\": \"yarn\", \"factor\": 4, \"attention_factor\": 3") } == .unsupportedFeature)
    #expect(code { _ = try model("\"type\": \"linear\"") } == .malformed)
    #expect(code { _ = try model("\"type\": \"llama3\", \"factor\": 2") } == .malformed)
  }

  @Test func whatTheNetworkDoesNotDoIsRefused() throws {
    for member in ["\"hidden_act\": \"relu\"", "\"partial_rotary_factor\": 0.5"] {
      #expect(code { _ = try TinyLlama.model(configuration(member)) } == .unsupportedFeature, "\(member)")
    }
    let moe = TinyLlama.configuration.replacing("\"llama\"", with: "\"qwen3_moe\"").dropLast()
    let members = "\"num_experts\": 2, \"num_experts_per_tok\": 1, \"moe_intermediate_size\": 3"
    #expect(code { _ = try TinyLlama.model("\(moe), \(members)}") } == .unsupportedFeature)
  }

  @Test func aWindowIsANote() throws {
    let windowed = try #require(try TinyLlama.model(configuration("\"sliding_window\": 8")))
    #expect(windowed.notes.contains { $0.contains("the last 8 only") })
    let off = try #require(
      try TinyLlama.model(configuration("\"sliding_window\": 8, \"use_sliding_window\": false")))
    #expect(!off.notes.contains { $0.contains("the last") })
  }

  @Test(arguments: [
    "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", "intermediate_size",
  ]) func everyNumberIsNeeded(_ name: String) throws {
    let error = failure { _ = try TinyLlama.model(configuration("", without: [name])) }
    #expect(error?.code == .malformed)
    #expect(error?.message.contains(name) == true)
  }

  /// Numbers that are none, or of another world, end nothing.
  @Test func hostileNumbersAreErrors() throws {
    for name in [
      "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps",
    ] {
      for value in ["-1", "4294967296", "1e308", "\"x\"", "[]", "{}", "true"] where name != "rms_norm_eps" {
        let error = failure { _ = try TinyLlama.model(configuration("\"\(name)\": \(value)", without: [name])) }
        #expect(error?.code == .malformed, "\(name): \(value)")
      }
      _ = try? TinyLlama.model(configuration("\"\(name)\": 4294967295", without: [name]))
      _ = try? TinyLlama.model(configuration("\"\(name)\": 0", without: [name]))
    }
    #expect(
      code {
        _ = try TinyLlama.model(configuration("\"num_hidden_layers\": 4294967295", without: ["num_hidden_layers"]))
      } == .limitExceeded)
    for number in ["1e308", "-1e308", "0", "\"x\""] {
      _ = try? TinyLlama.model(
        configuration(
          "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": \(number), \"original_max_position_embeddings\": \(number)}"
        ))
      _ = try? TinyLlama.model(configuration("\"partial_rotary_factor\": \(number)"))
    }
  }
}
