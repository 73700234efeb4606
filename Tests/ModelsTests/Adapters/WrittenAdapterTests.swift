import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// Adapters in the layouts of libraries, from updates in memory.
@Suite struct WrittenAdapterTests {
  /// Updates [3, 4] of modules, with 1, 2, 3, … in A and in B.
  private func content(_ modules: [(name: String, rank: Int, scale: Double)]) throws -> AdapterContent {
    var tensors: [(TensorInfo, TensorBytes)] = []
    var updates: [AdapterContent.Update] = []
    for module in modules {
      let (a, b) = (
        try info("\(module.name).a", .f32, [module.rank, 4]), try info("\(module.name).b", .f32, [3, module.rank])
      )
      for info in [a, b] {
        let values = (1...info.shape.elementCount).map { Float($0) }
        tensors.append((info, TensorBytes(values.flatMap { value in withUnsafeBytes(of: value) { [UInt8]($0) } })))
      }
      updates.append(.init(module: module.name, a: a, b: b, scale: module.scale, isEmbedding: false))
    }
    return AdapterContent(updates, in: try MemoryTensorSource(tensors.sorted { $0.0.name.precedesInBytes($1.0.name) }))
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Float] {
    try source.bytes(of: #require(source.tensor(named: name))).withBytes { raw in
      stride(from: 0, to: raw.count, by: 4).map { raw.loadUnaligned(fromByteOffset: $0, as: Float.self) }
    }
  }

  @Test func mlxGetsOneRankAndOneScale() throws {
    let adapter = try WrittenAdapter(content([("m.x", 1, 2), ("m.y", 2, 0.5)]), for: .mlx)
    #expect(adapter.tensor(named: "m.x.lora_a")?.shape.dimensions == [4, 2])
    #expect(adapter.tensor(named: "m.x.lora_b")?.shape.dimensions == [2, 3])
    #expect(try floats(adapter, "m.x.lora_a") == [1, 0, 2, 0, 3, 0, 4, 0])
    #expect(try floats(adapter, "m.x.lora_b") == [2, 4, 6, 0, 0, 0])
    #expect(try floats(adapter, "m.y.lora_b") == [0.5, 1.5, 2.5, 1, 2, 3])
    let text = try #require(adapter.configuration).compactText
    #expect(text.contains("\"rank\":2") && text.contains("\"scale\":1") && text.contains("\"m.y\""))
    #expect(adapter.notes.count == 2)
    // With one scale B stays as it is.
    let plain = try WrittenAdapter(content([("m.x", 1, 2), ("m.y", 2, 2)]), for: .mlx)
    #expect(try floats(plain, "m.x.lora_b") == [1, 2, 3, 0, 0, 0])
  }

  @Test func expertsBecomeAStack() throws {
    var content = try content([("l.mlp.experts.2.up_proj", 1, 1), ("l.mlp.experts.0.up_proj", 2, 1)])
    content.expertCount = 4
    let adapter = try WrittenAdapter(content, for: .mlx)
    #expect(adapter.tensors.map(\.name) == ["l.mlp.switch_mlp.up_proj.lora_a", "l.mlp.switch_mlp.up_proj.lora_b"])
    #expect(adapter.tensors.map(\.shape.dimensions) == [[4, 2, 4], [4, 3, 2]])
    #expect(
      try floats(adapter, "l.mlp.switch_mlp.up_proj.lora_a")
        == (1...8).map { Float($0) } + .init(repeating: 0, count: 8) + [1, 2, 3, 4] + .init(repeating: 0, count: 12))
    #expect(
      try floats(adapter, "l.mlp.switch_mlp.up_proj.lora_b")
        == [1, 2, 3, 4, 5, 6] + .init(repeating: 0, count: 6) + [1, 0, 2, 0, 3, 0] + .init(repeating: 0, count: 6))
    let hostile = try self.content([("l.mlp.experts.99999.up_proj", 1, 1)])
    #expect(throws: StorageError(.limitExceeded, "")) { try WrittenAdapter(hostile, for: .mlx) }
  }

  @Test func kohyaHasWordsAndAlphas() throws {
    let adapter = try WrittenAdapter(
      content([("unet/down.0.q", 2, 1.5), ("text_encoder/l.q", 1, 1), ("text_encoder_2/l.q", 1, 1)]), for: .kohya)
    #expect(try floats(adapter, "lora_unet_down_0_q.alpha") == [3])
    #expect(adapter.tensor(named: "lora_te1_l_q.lora_up.weight") != nil)
    #expect(adapter.tensor(named: "lora_te2_l_q.lora_down.weight") != nil)
    let alone = try WrittenAdapter(content([("text_encoder/l.q", 1, 1)]), for: .kohya)
    #expect(alone.tensor(named: "lora_te_l_q.alpha") != nil)
    // Two modules of one word.
    #expect(throws: StorageError(.unsupportedFeature, "")) {
      try WrittenAdapter(content([("unet/a.b_c", 1, 1), ("unet/a_b.c", 1, 1)]), for: .kohya)
    }
    #expect(throws: StorageError(.unsupportedFeature, "")) {
      try WrittenAdapter(content([("vae/x", 1, 1)]), for: .kohya)
    }
  }

  @Test func peftGetsPatternsWhereTheyAreClear() throws {
    let clear = try WrittenAdapter(content([("m.x", 1, 1), ("m.y", 2, 1)]), for: .peft)
    let text = try #require(clear.configuration).compactText
    #expect(text.contains(#""rank_pattern":{"m.x":1}"#) && text.contains(#""alpha_pattern":{"m.x":1}"#))
    // peft takes the pattern for `x` for that of `m.x`.
    let unclear = try WrittenAdapter(content([("x", 1, 1), ("m.x", 2, 1)]), for: .peft)
    #expect(try !#require(unclear.configuration).compactText.contains("rank_pattern"))
    #expect(try floats(unclear, "base_model.model.x.lora_B.weight") == [1, 0, 2, 0, 3, 0])
    #expect(throws: StorageError(.unsupportedFeature, "")) {
      try WrittenAdapter(content([("unet/x", 1, 1), ("text_encoder/x", 1, 1)]), for: .peft)
    }
  }

  @Test func scalesThatOverflowAreRefused() throws {
    let adapter = try WrittenAdapter(content([("x", 1, 1), ("y", 1, 1e38)]), for: .mlx)
    #expect(try floats(adapter, "x.lora_b") == [1, 2, 3])
    let larger = try WrittenAdapter(content([("x", 1, 1), ("y", 1, 3e38)]), for: .mlx)
    #expect(throws: StorageError(.nonFinite, "")) { try floats(larger, "y.lora_b") }
  }
}
