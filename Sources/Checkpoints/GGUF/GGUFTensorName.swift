/// What llama.cpp knows of a tensor by its name.
package enum GGUFTensorName {
  /// Whether it wants the tensor in F32 whatever its shape: norms, what chooses experts, positions.
  package static func isKeptInFull(_ name: String) -> Bool {
    name.hasSuffix("_norm.weight") || name.hasSuffix(".ffn_gate_inp.weight") || name == "position_embd.weight"
      || name == "token_types.weight"
  }
}
