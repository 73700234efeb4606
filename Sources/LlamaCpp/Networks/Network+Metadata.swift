import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What llama.cpp has to know of a model besides its tensors and its tokenizer.
struct NetworkMetadata: Sendable {
  private(set) var entries: [TypedMetadata.Entry] = []
  /// Tensors that config.json has as numbers.
  private(set) var tensors: [(name: String, values: [Float])] = []
  private(set) var notes: [String] = []
  let layerCount: Int
  let headCount: Int
  let keyHeadCount: Int
  let headLength: Int
  let expertCount: Int?
  /// What the norms of queries are multiplied by, for llama.cpp to scale the attention as the model does.
  private(set) var queryScale: Float = 1

  private let network: Network
  private let settings: ModelSettings

  /// - Throws: `unsupportedFeature` for what llama.cpp's network does not do; `malformed` for numbers that are missing or none.
  init(_ network: Network, _ settings: ModelSettings) throws(StorageError) {
    self.network = network
    self.settings = settings
    var numbers: [String: Double] = [:]
    for rule in network.parameters { numbers[rule.key] = try settings.parameter(rule) }
    let (width, heads) = (Int(numbers["embedding_length"]!), Int(numbers["attention.head_count"]!))
    layerCount = Int(numbers["block_count"]!)
    headCount = heads
    keyHeadCount = numbers["attention.head_count_kv"].map { Int($0) } ?? heads
    guard heads > 0, keyHeadCount > 0, layerCount > 0 else {
      throw StorageError(.malformed, "has no heads or no layers", file: ModelSettings.fileName)
    }
    try Limits.check(layerCount, atMost: Limits.networkLayers, "the number of layers")
    headLength = try settings.count(["head_dim"]) ?? network.assumedHeadLength ?? width / heads
    expertCount = numbers["expert_count"].map { Int($0) }
    try checkActivation()
    try checkLayers()
    for rule in network.parameters {
      let value = numbers[rule.key]!
      add(rule.key, rule.kind == .count ? .uint32(UInt32(value)) : .float32(Float(value)))
    }
    if network.name == "gpt2" {
      add("feed_forward_length", .uint32(UInt32(clamping: try settings.count(["n_inner"]) ?? 4 * width)))
    }
    if network.traits.contains(.isEncoder) { add("attention.causal", .bool(false)) }
    if !network.traits.contains(.learnsPositions) {
      add("attention.key_length", .uint32(UInt32(headLength)))
      add("attention.value_length", .uint32(UInt32(headLength)))
      try addRotation(context: numbers["context_length"]!)
    }
    try addWindows(context: numbers["context_length"]!)
  }

  private mutating func add(_ key: String, _ value: MetadataValue) {
    entries.append(.init(key: "\(network.name).\(key)", value: value))
  }

  private func unsupported(_ what: String) -> StorageError {
    StorageError(
      .unsupportedFeature, "\(what), which llama.cpp's \(network.name) does not", file: ModelSettings.fileName)
  }

  // MARK: What llama.cpp has no key for

  private func checkActivation() throws(StorageError) {
    let names = ["hidden_act", "hidden_activation", "activation_function"]
    guard let name = settings.value(names)?.asText else { return }
    let isSoft = network.traits.contains(.learnsPositions) || network.traits.contains(.alternatesWindows)
    let known: Set<String> = isSoft ? ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast"] : ["silu", "swish"]
    guard known.contains(name) else { throw unsupported("computes \(name)") }
  }

  private func checkLayers() throws(StorageError) {
    if network.name == "qwen3moe", !settings.isTrue("norm_topk_prob") {
      throw unsupported("does not normalise the weights of experts (norm_topk_prob is false)")
    }
    if let step = try settings.count(["decoder_sparse_step"]), step > 1, network.traits.contains(.hasExperts) {
      throw unsupported("has experts in some layers only")
    }
    if case .array(let dense)? = settings.value("mlp_only_layers"), !dense.isEmpty {
      throw unsupported("has layers without experts")
    }
    for name in ["scale_attn_by_inverse_layer_idx", "is_decoder", "add_cross_attention"] where settings.isTrue(name) {
      guard name == "scale_attn_by_inverse_layer_idx" || network.traits.contains(.isEncoder) else { continue }
      throw unsupported("has \(name)")
    }
    if network.name == "gpt2", !settings.isTrue("scale_attn_weights", otherwise: true) {
      throw unsupported("does not scale the attention")
    }
    if let positions = settings.text("position_embedding_type"), positions != "absolute" {
      throw unsupported("has positions that are \(positions)")
    }
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] where settings.value(name) != nil {
      guard network.traits.contains(.alternatesWindows) else { continue }
      throw unsupported("has \(name)")
    }
    if settings.isTrue("use_bidirectional_attention") { throw unsupported("attends in both directions") }
  }

  // MARK: Rotation

  private mutating func addRotation(context: Double) throws(StorageError) {
    let rotary = try RotaryEmbedding(settings, assumedBase: network.traits.contains(.alternatesWindows) ? 1e6 : 1e4)
    guard rotary.share == 1 || network.traits.contains(.rotatesPartially) else {
      throw unsupported("rotates a part of each head")
    }
    guard 0...1 ~= rotary.share else { throw unsupported("rotates \(rotary.share) of each head") }
    let rotated = Int((Double(headLength) * rotary.share).rounded(.down))
    guard rotated > 0, rotated.isMultiple(of: 2) else {
      throw StorageError(.malformed, "rotates \(rotated) of \(headLength) numbers", file: ModelSettings.fileName)
    }
    add("rope.dimension_count", .uint32(UInt32(rotated)))
    add("rope.freq_base", .float32(Float(rotary.base)))
    if network.traits.contains(.alternatesWindows) {
      add("rope.freq_base_swa", .float32(Float(rotary.windowBase ?? 1e4)))
    }
    let ownOriginal = try settings.number(["original_max_position_embeddings"])
    let original = rotary.number("original_max_position_embeddings") ?? ownOriginal
    if network.traits.contains(.takesLongFactors) {
      add("rope.scaling.original_context_length", .uint32(UInt32(saturating: original ?? context)))
    }
    switch rotary.type {
    case "default": break
    case "linear":
      add("rope.scaling.type", .string("linear"))
      add("rope.scaling.factor", .float32(Float(try rotary.required("factor"))))
    case "yarn":
      try addYaRN(rotary, original: original ?? context)
    case "llama3" where network.traits.contains(.takesLlama3Factors):
      guard let original else { throw ModelSettings.missing(["original_max_position_embeddings"]) }
      tensors.append(
        ("rope_freqs.weight", try rotary.llama3Factors(headLength: headLength, originalContext: original)))
    case "longrope", "su":
      guard network.traits.contains(.takesLongFactors) else { throw unsupported("scales the rotation (longrope)") }
      try addLongFactors(rotary, count: rotated / 2, context: context, original: original ?? context)
    case "dynamic":
      notes.append(
        "llama.cpp has no dynamic scaling of the rotation: right up to \(UInt32(saturating: original ?? context)) tokens"
      )
    default: throw unsupported("scales the rotation (\(rotary.type))")
    }
  }

  private mutating func addYaRN(_ rotary: RotaryEmbedding, original: Double) throws(StorageError) {
    guard rotary.number("attention_factor") == nil, rotary.number("mscale") == nil else {
      throw unsupported("has its own attention_factor of YaRN")
    }
    add("rope.scaling.type", .string("yarn"))
    add("rope.scaling.factor", .float32(Float(try rotary.required("factor"))))
    add("rope.scaling.original_context_length", .uint32(UInt32(saturating: original)))
    if let fast = rotary.number("beta_fast") { add("rope.scaling.yarn_beta_fast", .float32(Float(fast))) }
    if let slow = rotary.number("beta_slow") { add("rope.scaling.yarn_beta_slow", .float32(Float(slow))) }
  }

  private mutating func addLongFactors(
    _ rotary: RotaryEmbedding, count: Int, context: Double, original: Double
  ) throws(StorageError) {
    for name in ["long", "short"] {
      guard let factors = rotary.numbers("\(name)_factor"), factors.count == count else {
        throw StorageError(
          .malformed, "\(name)_factor is not \(count) numbers, half of what is rotated", file: ModelSettings.fileName)
      }
      tensors.append(("rope_factors_\(name).weight", factors.map { Float($0) }))
    }
    let factor =
      rotary.number("attention_factor") ?? RotaryEmbedding.longFactor(context: context, originalContext: original)
    add("rope.scaling.attn_factor", .float32(Float(factor)))
  }

  // MARK: Windows

  private mutating func addWindows(context: Double) throws(StorageError) {
    if network.name == "phi3" {
      // The loader tells Phi-3 from Phi-4 by its being there, and uses none.
      add("attention.sliding_window", .uint32(UInt32(clamping: try settings.count(["sliding_window"]) ?? 0)))
    }
    guard network.traits.contains(.alternatesWindows) else {
      let isOff = settings.value("use_sliding_window") == .bool(false)
      if let window = try settings.count(["sliding_window"]), Double(window) < context, !isOff {
        notes.append("llama.cpp attends to all tokens here, the model to the last \(window) only")
      }
      return
    }
    try addPattern()
    // llama.cpp takes 1 ÷ √(width ÷ heads) for the largest, which has 62 layers, and 1 ÷ √(a head's length) for the others.
    let width = Double(try settings.required(["hidden_size"]))
    let assumed = layerCount == 62 ? width / Double(headCount) : Double(headLength)
    let scalar = try settings.number(["query_pre_attn_scalar"]) ?? 256
    guard scalar > 0 else { throw ModelSettings.missing(["query_pre_attn_scalar"]) }
    if scalar != assumed {
      queryScale = Float((assumed / scalar).squareRoot())
      notes.append("the scale of the attention, which has no key, is in the norms of the queries")
    }
  }

  /// Every n-th layer attends to all tokens, in llama.cpp the last of each n.
  private mutating func addPattern() throws(StorageError) {
    var period = try settings.count(["sliding_window_pattern", "_sliding_window_pattern"]) ?? 6
    if case .array(let types)? = settings.value("layer_types") {
      let isFull = types.map { $0 == .string("full_attention") }
      period = (isFull.firstIndex(of: true) ?? isFull.count) + 1
      let isRegular = isFull.enumerated().allSatisfy { $0.element == ($0.offset % period == period - 1) }
      guard isRegular, isFull.count == layerCount else { throw unsupported("mixes windows irregularly") }
      // With windows only, any period beyond the layers will do.
      if !isFull.contains(true), period <= 6 { period = 6 }
    }
    guard period > 0 else { throw unsupported("has no pattern of windows") }
    if period != 6 { add("attention.sliding_window_pattern", .uint32(UInt32(period))) }
  }
}

extension UInt32 {
  /// The nearest.
  fileprivate init(saturating value: Double) {
    self = value >= Double(UInt32.max) ? .max : value > 0 ? UInt32(value) : 0
  }
}

extension Limits {
  /// Of one network, more than any has.
  package static let networkLayers = 65_536
}
