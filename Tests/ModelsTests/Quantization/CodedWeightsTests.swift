import TMPackModels
import TMPackTensorKit
import Testing

/// What tells a weight that is kept as codes, and its scheme.
@Suite struct CodedWeightsTests {
  typealias Listing = [(name: String, dtype: DType, shape: [Int])]

  static func infos(_ listing: Listing) throws -> [TensorInfo] {
    try listing.map { try TensorInfo(name: $0.name, dtype: $0.dtype, shape: Shape($0.shape)) }.sortedByName()
  }

  static let schemes: [(scheme: QuantizationScheme, numbers: String, tensors: Listing)] = [
    (.scaledFloats, "m.weight", [("m.weight", .f8e4m3, [8, 8]), ("m.weight_scale_inv", .f32, [1, 1])]),
    (.scaledFloats, "m.weight", [("m.weight", .bf16, [8, 8]), ("m.weight_scale_inv", .f32, [1, 1])]),
    (.scaledFloats, "e.gate_up", [("e.gate_up", .f8e4m3, [2, 8, 8]), ("e.gate_up_scale_inv", .f32, [2, 1, 1])]),
    (.scaledFloats, "m.weight", [("m.weight", .f8e4m3, [8, 8]), ("m.weight_scale", .bf16, [8, 1])]),
    (.scaledFloats, "m.weight", [("m.weight", .f8e5m2, [8, 8]), ("m.scale_weight", .f32, [])]),
    (.scaledIntegers, "m.weight", [("m.weight", .i8, [8, 8]), ("m.weight_scale", .bf16, [8, 1])]),
    (.mxfp8, "m.weight", [("m.weight", .f8e4m3, [8, 32]), ("m.weight_scale", .u8, [8, 1])]),
    (
      .packedIntegers, "m.weight",
      [("m.weight_packed", .i32, [8, 2]), ("m.weight_scale", .bf16, [8, 1]), ("m.weight_shape", .i64, [2])]
    ),
    (
      .nvfp4, "m.weight",
      [("m.weight_packed", .u8, [8, 8]), ("m.weight_scale", .f8e4m3, [8, 1]), ("m.weight_global_scale", .f32, [1])]
    ),
    (.mxfp4, "m.weight", [("m.weight_packed", .u8, [8, 16]), ("m.weight_scale", .u8, [8, 1])]),
    (
      .modelOptNVFP4, "m.weight",
      [("m.weight", .u8, [8, 8]), ("m.weight_scale", .f8e4m3, [8, 1]), ("m.weight_scale_2", .f32, [])]
    ),
    (.gptOSS, "e.down_proj", [("e.down_proj_blocks", .u8, [1, 4, 1, 16]), ("e.down_proj_scales", .u8, [1, 4, 1])]),
    (
      .gptq, "m.weight",
      [("m.qweight", .i32, [4, 8]), ("m.qzeros", .i32, [1, 1]), ("m.scales", .f16, [1, 8]), ("m.g_idx", .i32, [32])]
    ),
    (.mlx, "m.weight", [("m.weight", .u32, [8, 4]), ("m.scales", .bf16, [8, 1]), ("m.biases", .bf16, [8, 1])]),
    (.bitsAndBytes8, "m.weight", [("m.weight", .i8, [8, 8]), ("m.SCB", .f32, [8]), ("m.weight_format", .u8, [])]),
    (
      .bitsAndBytes4, "m.weight",
      [
        ("m.weight", .u8, [32, 1]), ("m.weight.absmax", .f32, [1]), ("m.weight.quant_map", .f32, [16]),
        ("m.weight.quant_state.bitsandbytes__nf4", .u8, [80]),
      ]
    ),
    (.torchAO, "m.weight", [("m._weight_qdata", .i8, [8, 8]), ("m._weight_scale", .f32, [8, 1])]),
    (.hqq, "m.W_q", [("m.W_q", .u8, [8, 8]), ("m.scale", .f16, [8, 1])]),
    (.exllamaV2, "m.q_weight", [("m.q_weight", .i32, [8, 8]), ("m.q_scale", .i32, [1, 1])]),
    (
      .metal, "m.weight",
      [("m.weight", .u32, [8, 4]), ("m.scales", .bf16, [8, 1]), ("m.qbiases", .bf16, [8, 1])]
    ),
    (
      .marlin24, "m.weight",
      [("m.weight_packed", .i32, [2, 16]), ("m.scale_packed", .f16, [2, 8]), ("m.meta", .i16, [8, 4])]
    ),
    (
      .sparse, "m.weight",
      [("m.compressed", .bf16, [8, 4]), ("m.bitmask", .u8, [8, 1]), ("m.shape", .i64, [2])]
    ),
    (.unknown, "m.weight", [("m.weight", .u8, [8, 8]), ("m.weight_scale", .bf16, [1])]),
    (.unknown, "m.kernel", [("m.kernel", .i8, [8, 8]), ("m.kernel_scale_x", .bf16, [1])]),
  ]

  @Test(arguments: schemes.indices)
  func namesAndDTypesTellTheScheme(_ index: Int) throws {
    let (scheme, numbers, tensors) = Self.schemes[index]
    let plain: Listing = [("m.bias", .bf16, [8]), ("norm.weight", .bf16, [8]), ("m.weight_of_another", .i64, [2])]
    let found = CodedWeights(in: try Self.infos(tensors + plain))
    #expect(found.weights.map(\.scheme) == [scheme])
    #expect(found.weights.map(\.name) == [numbers])
    let names = found.names.map(\.text)
    #expect(tensors.filter { scheme != .hqq && scheme != .exllamaV2 && !names.contains($0.name) }.isEmpty)
    #expect(plain.allSatisfy { !names.contains($0.name) })
  }

  /// What only looks like it.
  @Test(
    arguments: [
      [("m.weight", .bf16, [8, 8]), ("m.weight_scale", .f32, [8])],
      [("m.weight", .f8e4m3, [8, 8]), ("m.bias", .bf16, [8])],
      [("m.weight", .f8e4m3, [8, 8]), ("m.input_scale", .f32, [])],
      [("logit_scale", .f32, []), ("position_ids", .i64, [1, 77])],
      [("attn.bias", .u8, [1, 1, 8, 8]), ("attn.masked_bias", .f32, [])],
      [("s.B", .f32, [8]), ("s.s", .f32, [8]), ("attn.W_q", .f32, [8, 8])],
      [("e.text_blocks", .u8, [8])],
    ] as [Listing])
  func plainTensorsAreNoCodes(_ tensors: Listing) throws {
    #expect(CodedWeights(in: try Self.infos(tensors)).isEmpty)
  }

  /// Scales of activations go with the codes; beside plain weights they are tensors as any other.
  @Test func attendantsGoWithCodes() throws {
    let codes: Listing = [("m.weight", .f8e4m3, [8, 8]), ("m.weight_scale", .f32, [1])]
    let found = CodedWeights(in: try Self.infos(codes + [("m.input_scale", .f32, [1]), ("a.k_scale", .f32, [1])]))
    #expect(found.attendants.map(\.name) == ["a.k_scale", "m.input_scale"])
  }
}
