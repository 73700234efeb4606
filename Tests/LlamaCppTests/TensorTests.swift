import TMPackByteIO
import TMPackCheckpoints
import TMPackLlamaCpp
import TMPackTensorKit
import TestSupport
import Testing

/// What becomes of tensors: Spec/gguf-models.md, rules 1 to 7.
@Suite struct TensorTests {
  @Test func tensorsOfLlamaAreNamedAsInLlamaCpp() throws {
    let source = try #require(try TinyLlama.model()).source
    #expect(
      source.tensors.map(\.name) == [
        "blk.0.attn_k.weight", "blk.0.attn_norm.weight", "blk.0.attn_output.weight", "blk.0.attn_q.weight",
        "blk.0.attn_v.weight", "blk.0.ffn_down.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_norm.weight",
        "blk.0.ffn_up.weight", "output.weight", "output_norm.weight", "token_embd.weight",
      ])
    #expect(try floats(of: source, "blk.0.attn_v.weight") == (0..<16).map { Float($0) })
  }

  /// So that what was measured of the model's own tensors is found.
  @Test func aTensorIsKnownByThoseThatItIsMadeOf() throws {
    let model = try #require(try TinyLlama.model())
    #expect(model.originals("blk.0.attn_q.weight") == ["model.layers.0.self_attn.q_proj.weight"])
    #expect(model.originals("rope_freqs.weight").isEmpty)
  }

  /// Rows 0, 1, 2, 3 of a head become 0, 2, 1, 3, in each of the heads.
  @Test func rowsOfQueriesAndKeysAlternate() throws {
    let source = try #require(try TinyLlama.model()).source
    func rows(_ name: String) throws -> [Float] {
      let values = try floats(of: source, name)
      return stride(from: 0, to: values.count, by: 4).map { values[$0] / 4 }
    }
    #expect(try rows("blk.0.attn_q.weight") == [0, 2, 1, 3, 4, 6, 5, 7])
    #expect(try rows("blk.0.attn_k.weight") == [0, 2, 1, 3])
  }

  @Test func namesMayLackWhatStandsInFront() throws {
    let bare = try #require(
      try TinyLlama.model { shapes in
        shapes = Dictionary(
          uniqueKeysWithValues: shapes.map {
            ($0.key.hasPrefix("model.") ? String($0.key.dropFirst(6)) : $0.key, $0.value)
          })
      })
    #expect(try hasSameTensors(bare.source, #require(try TinyLlama.model()).source))
  }

  @Test func aMissingTensorIsNamed() throws {
    for name in TinyLlama.shapes.keys where name != "lm_head.weight" {
      let error = failure { _ = try TinyLlama.model { $0[name] = nil } }
      #expect(error?.code == .malformed)
      #expect(error?.tensor.map(name.hasSuffix) == true)
    }
    #expect(try TinyLlama.model { $0["lm_head.weight"] = nil } != nil)
  }

  @Test(arguments: [
    "model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_norm.weight", "model.layers.00.mlp.up_proj.weight",
    "model.extra",
  ]) func aTensorWithoutAPlaceIsRefused(_ name: String) throws {
    let error = failure { _ = try TinyLlama.model { $0[name] = [4] } }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.tensor == name)
  }

  @Test func whatNothingComputesWithIsPassedOver() throws {
    let model = try #require(try TinyLlama.model { $0["model.layers.0.self_attn.rotary_emb.inv_freq"] = [2] })
    #expect(model.source.tensors.count == 12)
  }

  @Test func headsThatDoNotFitAreRefused() throws {
    let error = failure { _ = try TinyLlama.model { $0["model.layers.0.self_attn.q_proj.weight"] = [6, 4] } }
    #expect(error?.code == .shapeMismatch)
  }

  private static let experts = """
    {"model_type": "mixtral", "max_position_embeddings": 64, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
     "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "intermediate_size": 3, "head_dim": 4, "num_local_experts": 2,
     "num_experts_per_tok": 1}
    """

  private func experts(_ others: [String: [Int]]) throws -> any TensorSource {
    let shapes = TinyLlama.shapes.filter { !$0.key.contains(".mlp.") }.merging(others) { $1 }
    let tensors = try shapes.map { name, shape in
      try counting(name, shape, from: name.contains(".1.w") ? 12 : name.contains("w3") ? 100 : 0)
    }
    return try #require(
      try RunnableModel(MemoryTensorSource(tensors), files: [file("config.json", Self.experts)])
    ).source
  }

  @Test func expertsAreStackedOrTakenFromStacks() throws {
    let disk = "model.layers.0.block_sparse_moe"
    var apart: [String: [Int]] = ["\(disk).gate.weight": [2, 4]]
    for expert in 0...1 {
      apart["\(disk).experts.\(expert).w1.weight"] = [3, 4]
      apart["\(disk).experts.\(expert).w2.weight"] = [4, 3]
      apart["\(disk).experts.\(expert).w3.weight"] = [3, 4]
    }
    let stacked = try experts(apart)
    #expect(stacked.tensor(named: "blk.0.ffn_gate_exps.weight")?.shape.dimensions == [2, 3, 4])
    #expect(try floats(of: stacked, "blk.0.ffn_gate_exps.weight") == (0..<24).map { Float($0) })
    #expect(stacked.tensor(named: "blk.0.ffn_gate_inp.weight")?.dtype == .f32)

    let memory = "model.layers.0.mlp"
    let fused = try experts([
      "\(memory).gate.weight": [2, 4], "\(memory).experts.gate_up_proj": [2, 6, 4],
      "\(memory).experts.down_proj": [2, 4, 3],
    ])
    #expect(fused.tensors == stacked.tensors)
    #expect(try floats(of: fused, "blk.0.ffn_gate_exps.weight") == (Array(0..<12) + Array(24..<36)).map { Float($0) })
    #expect(try floats(of: fused, "blk.0.ffn_up_exps.weight") == (Array(12..<24) + Array(36..<48)).map { Float($0) })
    apart["\(disk).experts.1.w1.weight"] = nil
    #expect(code { _ = try experts(apart) } == .malformed)
  }

  @Test func matricesOfGPT2AreTransposed() throws {
    var shapes: [String: [Int]] = [
      "wte.weight": [5, 4], "wpe.weight": [8, 4], "ln_f.weight": [4], "ln_f.bias": [4], "h.0.attn.bias": [1, 1, 8, 8],
    ]
    for (name, rows, columns) in [
      ("attn.c_attn", 4, 12), ("attn.c_proj", 4, 4), ("mlp.c_fc", 4, 16), ("mlp.c_proj", 16, 4),
    ] {
      shapes["h.0.\(name).weight"] = [rows, columns]
      shapes["h.0.\(name).bias"] = [columns]
    }
    for name in ["ln_1", "ln_2"] {
      shapes["h.0.\(name).weight"] = [4]
      shapes["h.0.\(name).bias"] = [4]
    }
    let configuration = """
      {"model_type": "gpt2", "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 2, "layer_norm_epsilon": 1e-5, "n_inner": null}
      """
    let source = try #require(
      try RunnableModel(
        MemoryTensorSource(shapes.map { try counting("transformer." + $0.key, $0.value) }),
        files: [file("config.json", configuration)])
    ).source
    #expect(source.tensor(named: "blk.0.attn_qkv.weight")?.shape.dimensions == [12, 4])
    let values = try floats(of: source, "blk.0.attn_qkv.weight")
    #expect(Array(values[..<8]) == [0, 12, 24, 36, 1, 13, 25, 37])
    #expect(source.value("gpt2.feed_forward_length") == .uint32(16))
    #expect(source.value("gpt2.context_length") == .uint32(8))
    #expect(source.value("gpt2.rope.freq_base") == nil)
  }

  @Test func normsOfGemmaAreOneMore() throws {
    var shapes: [String: [Int]] = ["embed_tokens.weight": [5, 4], "norm.weight": [4]]
    let layer = "layers.0."
    for name in [
      "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
      "self_attn.q_norm", "self_attn.k_norm",
    ] { shapes[layer + name + ".weight"] = [4] }
    for name in ["q_proj", "k_proj", "v_proj", "o_proj"] { shapes["\(layer)self_attn.\(name).weight"] = [4, 4] }
    for name in ["gate_proj", "up_proj", "down_proj"] { shapes["\(layer)mlp.\(name).weight"] = [4, 4] }
    let text = """
      "max_position_embeddings": 64, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
      "rms_norm_eps": 1e-6, "intermediate_size": 4, "head_dim": 4, "sliding_window": 16, "query_pre_attn_scalar": 16
      """
    func model(_ configuration: String, _ prefix: String, others: [String: [Int]] = [:]) throws -> RunnableModel {
      let named = Dictionary(uniqueKeysWithValues: shapes.map { (prefix + $0.key, $0.value) })
      let tensors = try named.merging(others) { $1 }.map { try counting($0.key, $0.value) }
      return try #require(
        try RunnableModel(MemoryTensorSource(tensors), files: [file("config.json", configuration)]))
    }
    let plain = try model("{\"model_type\": \"gemma3_text\", \(text)}", "model.")
    #expect(try floats(of: plain.source, "blk.0.attn_norm.weight") == [1, 2, 3, 4])
    #expect(try floats(of: plain.source, "output_norm.weight") == [1, 2, 3, 4])
    // llama.cpp divides by √4, the model by √16.
    #expect(try floats(of: plain.source, "blk.0.attn_q_norm.weight") == [0.5, 1, 1.5, 2])
    #expect(plain.source.value("gemma3.rope.freq_base_swa") == .float32(10000))
    #expect(plain.source.value("gemma3.attention.sliding_window") == .uint32(16))

    let seeing = try model(
      "{\"model_type\": \"gemma3\", \"text_config\": {\(text)}}", "language_model.model.",
      others: ["vision_tower.encoder.x": [3]])
    #expect(try hasSameTensors(seeing.source, plain.source))
    #expect(seeing.notes.contains { $0.contains("vision_tower.encoder.x") })
  }

  @Test func vectorsAndWhatNeedsDigitsStayInF32() throws {
    let tensors = try TinyLlama.shapes.map { try source([info($0.key, .bf16, $0.value)]) }
    let model = try #require(
      try RunnableModel(JoinedTensors(tensors), files: [file("config.json", TinyLlama.configuration)]))
    for info in model.source.tensors {
      #expect(info.dtype == (info.shape.dimensions.count < 2 ? .f32 : .bf16), "\(info.name)")
      #expect(RunnableModel.isKeptInFull(info) == (info.shape.dimensions.count < 2))
    }
  }

  private struct JoinedTensors: TensorSource {
    let sources: [MemoryTensorSource]
    let tensors: [TensorInfo]
    let label = "joined"

    init(_ sources: [MemoryTensorSource]) {
      self.sources = sources
      tensors = sources.flatMap(\.tensors).sortedByName()
    }

    func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
      try sources.first { $0.tensor(named: info.name) != nil }!.read(info, into: destination)
    }
  }
}
