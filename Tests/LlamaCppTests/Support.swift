import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackLlamaCpp
import TMPackTensorKit
import TestSupport

func file(_ name: String, _ text: String) throws -> CarriedContent {
  CarriedContent(try CarriedFileName(name)) { Array(text.utf8) }
}

/// Counts up from `first`, in F32.
func counting(_ name: String, _ shape: [Int], from first: Float = 0) throws -> (info: TensorInfo, bytes: TensorBytes) {
  let info = try info(name, .f32, shape)
  let values = (0..<info.shape.elementCount).map { first + Float($0) }
  return (info, TensorBytes(values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { [UInt8]($0) } }))
}

func floats(of source: any TensorSource, _ name: String) throws -> [Float] {
  let bytes = try bytes(of: source, name)
  return stride(from: 0, to: bytes.count, by: 4).map { place in
    Float(bitPattern: bytes[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
  }
}

/// A Llama of one layer: width 4, two heads of length 4 and one for the keys, five tokens.
enum TinyLlama {
  static let configuration = """
    {"model_type": "llama", "max_position_embeddings": 64, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
     "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "intermediate_size": 3, "head_dim": 4, "rope_theta": 500000.0}
    """

  static let shapes: [String: [Int]] = [
    "model.embed_tokens.weight": [5, 4], "model.norm.weight": [4], "lm_head.weight": [5, 4],
    "model.layers.0.input_layernorm.weight": [4], "model.layers.0.post_attention_layernorm.weight": [4],
    "model.layers.0.self_attn.q_proj.weight": [8, 4], "model.layers.0.self_attn.k_proj.weight": [4, 4],
    "model.layers.0.self_attn.v_proj.weight": [4, 4], "model.layers.0.self_attn.o_proj.weight": [4, 8],
    "model.layers.0.mlp.gate_proj.weight": [3, 4], "model.layers.0.mlp.up_proj.weight": [3, 4],
    "model.layers.0.mlp.down_proj.weight": [4, 3],
  ]

  static func source(_ change: (inout [String: [Int]]) -> Void = { _ in }) throws -> MemoryTensorSource {
    var shapes = shapes
    change(&shapes)
    return try MemoryTensorSource(shapes.map { try counting($0.key, $0.value) })
  }

  static func model(
    _ configuration: String = configuration, files: [CarriedContent] = [],
    _ change: (inout [String: [Int]]) -> Void = { _ in }
  ) throws -> RunnableModel? {
    try RunnableModel(source(change), files: [file("config.json", configuration)] + files)
  }
}

extension TensorSource {
  func value(_ key: String) -> MetadataValue? { typedMetadata[key] }
}
