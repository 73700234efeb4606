import TMPackTensorKit

/// What a library calls the tensors of a weight that it keeps as codes.
///
/// All names are a stem, the same for all tensors of one weight, and an ending. Seen in: transformers 5.24, compressed-tensors
/// 0.20.1, bitsandbytes 0.50.2, gptqmodel 7.7, torchao 0.18, ModelOpt 0.47, MLX 0.32.4.
struct CodeLayout: Sendable {
  let scheme: QuantizationScheme
  /// The ending that no weight has without codes.
  let telltale: String
  let codes: String
  /// Dtypes of the codes.
  let dtypes: Set<DType>
  /// The ending of the weight as numbers.
  var numbers = ""
  var required: [CodedWeight.Companion: Ending]
  var optional: [CodedWeight.Companion: Ending] = [:]

  /// An ending and the dtypes that a tensor of it has; nil for any.
  struct Ending: Sendable {
    let text: String
    var dtypes: Set<DType>?

    init(_ text: String, _ dtypes: Set<DType>? = nil) { (self.text, self.dtypes) = (text, dtypes) }
  }

  /// The weight of this layout that a tensor belongs to, if it is the one that tells.
  ///
  /// - Parameter tensors: sorted by name.
  func weight(toldBy info: TensorInfo, in tensors: [TensorInfo]) -> CodedWeight? {
    guard info.name.utf8.count > telltale.utf8.count, info.name.hasEnding(telltale) else { return nil }
    let stem = info.name.withoutEnding(telltale)
    func tensor(_ ending: Ending) -> TensorInfo? {
      guard let index = tensors.index(ofTensor: stem + ending.text) else { return nil }
      return ending.dtypes?.contains(tensors[index].dtype) == false ? nil : tensors[index]
    }
    guard let codes = tensor(Ending(codes, dtypes)) else { return nil }
    var companions: [CodedWeight.Companion: TensorInfo] = [:]
    for (companion, ending) in required {
      guard let found = tensor(ending) else { return nil }
      companions[companion] = found
    }
    for (companion, ending) in optional { companions[companion] = tensor(ending) }
    let name = stem + numbers
    if name.hasEnding(".weight") {
      let factors = name.withoutEnding("weight") + "pre_quant_scale"
      companions[.inputScale] = tensors.index(ofTensor: factors).map { tensors[$0] }
    }
    return CodedWeight(scheme, name: name, codes: codes, companions: companions)
  }

  private static let floats: Set<DType> = [.f32, .f16, .bf16, .f64]
  private static let eightBitFloats: Set<DType> = [.f8e4m3, .f8e5m2, .f8e4m3fnuz, .f8e5m2fnuz]
  private static let any = Set(DType.allCases)

  /// In the order in which they are tried: a layout that has more tensors comes before one that has some of them.
  static let passes: [[CodeLayout]] = [known, foreign]

  private static let known: [CodeLayout] =
    ["nf4", "fp4"].map {
      CodeLayout(
        scheme: .bitsAndBytes4, telltale: ".quant_state.bitsandbytes__\($0)", codes: "", dtypes: any,
        required: [
          .description: Ending(".quant_state.bitsandbytes__\($0)"), .scale: Ending(".absmax"),
          .codebook: Ending(".quant_map"),
        ], optional: [.nestedScale: Ending(".nested_absmax"), .nestedCodebook: Ending(".nested_quant_map")])
    } + [
      CodeLayout(
        scheme: .bitsAndBytes8, telltale: ".SCB", codes: ".weight", dtypes: [.i8], numbers: ".weight",
        required: [.scale: Ending(".SCB")], optional: [.layout: Ending(".weight_format")]),
      CodeLayout(
        scheme: .gptq, telltale: ".qweight", codes: ".qweight", dtypes: [.i32, .u32], numbers: ".weight",
        required: [.scale: Ending(".scales")],
        optional: [.zeroPoint: Ending(".qzeros"), .groupIndex: Ending(".g_idx"), .bias: Ending(".biases")]),
      CodeLayout(
        scheme: .packedIntegers, telltale: ".weight_packed", codes: ".weight_packed", dtypes: [.i32],
        numbers: ".weight", required: [.scale: Ending(".weight_scale")],
        optional: [
          .shape: Ending(".weight_shape"), .zeroPoint: Ending(".weight_zero_point"),
          .groupIndex: Ending(".weight_g_idx"),
        ]),
      CodeLayout(
        scheme: .nvfp4, telltale: ".weight_packed", codes: ".weight_packed", dtypes: [.u8], numbers: ".weight",
        required: [.scale: Ending(".weight_scale", [.f8e4m3]), .globalScale: Ending(".weight_global_scale")],
        optional: [.shape: Ending(".weight_shape")]),
      CodeLayout(
        scheme: .mxfp4, telltale: ".weight_packed", codes: ".weight_packed", dtypes: [.u8], numbers: ".weight",
        required: [.scale: Ending(".weight_scale", [.u8, .f8e8m0])], optional: [.shape: Ending(".weight_shape")]),
      CodeLayout(
        scheme: .modelOptNVFP4, telltale: ".weight_scale_2", codes: ".weight", dtypes: [.u8], numbers: ".weight",
        required: [.scale: Ending(".weight_scale", [.f8e4m3]), .globalScale: Ending(".weight_scale_2")]),
      // Also where the codes were made wider, as numbers, by who did not know the scales.
      CodeLayout(
        scheme: .scaledFloats, telltale: "_scale_inv", codes: "",
        dtypes: eightBitFloats.union(floats).union([.i8, .u8, .f4]), required: [.scale: Ending("_scale_inv")]),
      CodeLayout(
        scheme: .scaledFloats, telltale: ".scale_weight", codes: ".weight", dtypes: eightBitFloats, numbers: ".weight",
        required: [.scale: Ending(".scale_weight")]),
      CodeLayout(
        scheme: .mxfp8, telltale: "_scale", codes: "", dtypes: [.f8e4m3],
        required: [.scale: Ending("_scale", [.u8, .f8e8m0])]),
      CodeLayout(
        scheme: .scaledFloats, telltale: "_scale", codes: "", dtypes: eightBitFloats,
        required: [.scale: Ending("_scale", floats)], optional: [.zeroPoint: Ending("_zero_point")]),
      CodeLayout(
        scheme: .scaledIntegers, telltale: "_scale", codes: "", dtypes: [.i8],
        required: [.scale: Ending("_scale", floats)],
        optional: [.zeroPoint: Ending("_zero_point"), .groupIndex: Ending("_g_idx")]),
      CodeLayout(
        scheme: .gptOSS, telltale: "_blocks", codes: "_blocks", dtypes: [.u8],
        required: [.scale: Ending("_scales", [.u8, .f8e8m0])]),
      CodeLayout(
        scheme: .torchAO, telltale: "._weight_qdata", codes: "._weight_qdata", dtypes: any, numbers: ".weight",
        required: [.scale: Ending("._weight_scale")],
        optional: [
          .zeroPoint: Ending("._weight_zero_point"), .bias: Ending("._weight_act_pre_scale"),
          .globalScale: Ending("._weight_per_tensor_scale"),
        ]),
      CodeLayout(
        scheme: .metal, telltale: ".qbiases", codes: ".weight", dtypes: [.u32], numbers: ".weight",
        required: [.scale: Ending(".scales"), .bias: Ending(".qbiases")]),
      CodeLayout(
        scheme: .marlin24, telltale: ".weight_packed", codes: ".weight_packed", dtypes: any, numbers: ".weight",
        required: [.scale: Ending(".scale_packed")], optional: [.layout: Ending(".meta")]),
      CodeLayout(
        scheme: .sparse, telltale: ".bitmask", codes: ".compressed", dtypes: any, numbers: ".weight",
        required: [.layout: Ending(".bitmask")],
        optional: [.shape: Ending(".shape"), .groupIndex: Ending(".row_offsets"), .scale: Ending(".weight_scale")]),
      CodeLayout(
        scheme: .mlx, telltale: ".scales", codes: ".weight", dtypes: [.u32], numbers: ".weight",
        required: [.scale: Ending(".scales")],
        optional: [.bias: Ending(".biases"), .globalScale: Ending(".global_scale")]),
    ]

  /// What is known to be codes, and no more.
  private static let foreign: [CodeLayout] = [
    named(.hqq, ".W_q"), named(.quanto, "._data", beside: "._scale"), named(.exllamaV2, ".q_weight"),
    named(.exllamaV3, ".trellis"), named(.aqlm, ".codes", beside: ".codebooks"),
    named(.vptq, ".indices", beside: ".centroids.weight"), named(.eetq, ".qweight", beside: ".weight_scales"),
    named(.spqr, ".dense_weights"), named(.marlin, ".B", beside: ".s"), named(.gptq, ".qweight"),
    named(.torchAO, "_qdata"), named(.packedIntegers, ".weight_packed"), named(.mxfp4, "_blocks", beside: "_scales"),
    named(.bitsAndBytes4, ".absmax", beside: ".quant_map"),
  ]

  private static func named(
    _ scheme: QuantizationScheme, _ telltale: String, beside other: String? = nil
  ) -> CodeLayout {
    CodeLayout(
      scheme: scheme, telltale: telltale, codes: telltale, dtypes: any.filter(\.mayBeCodes), numbers: telltale,
      required: other.map { [.scale: Ending($0)] } ?? [:])
  }
}

extension String {
  /// Whether its last bytes are those of `ending`.
  func hasEnding(_ ending: String) -> Bool { utf8.suffix(ending.utf8.count).elementsEqual(ending.utf8) }

  /// - Precondition: it has that ending.
  func withoutEnding(_ ending: String) -> String { String(decoding: utf8.dropLast(ending.utf8.count), as: UTF8.self) }
}
