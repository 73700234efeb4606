import ByteIO
import Checkpoints

/// What a model's files say of its quantisation: `quantization_config` of `config.json` (transformers, vLLM), its
/// `quantization` (MLX) or `compression_config` (older compressed-tensors), or the file that AutoGPTQ, AutoAWQ and ModelOpt
/// write beside it.
package struct QuantizationConfiguration: Sendable {
  /// The object that says it.
  package let object: JSONObject
  /// Which library's method it is, in lower case.
  package let method: String
  /// The dtype of the model, as its configuration gives it.
  package let dtype: String?

  /// Methods whose tensors are known.
  private static let known: Set<String> = [
    "bitsandbytes", "gptq", "awq", "auto-round", "intel/auto-round", "compressed-tensors", "fp8", "fbgemm_fp8", "mxfp4",
    "modelopt", "modelopt_fp4", "torchao", "mlx",
  ]

  package var isKnown: Bool { Self.known.contains(method) }

  /// - Parameter folder: of the component, in a pipeline; empty otherwise.
  /// - Returns: nil where no file speaks of a quantisation.
  /// - Throws: `malformed` for a file of these that is no JSON, or says it in another form.
  package init?(in files: [CarriedContent], folder: String = "") throws(StorageError) {
    func object(_ name: String) throws(StorageError) -> JSONObject? {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      guard let file = files.first(where: { $0.name.text.hasSameBytes(as: path) }) else { return nil }
      let text = try file.bytes()
      return try located(file: path) { () throws(StorageError) in
        try JSONValue(parsing: text, maximumDepth: Limits.configurationDepth).asObject("the file")
      }
    }
    let model = try object("config.json")
    if case .string(let dtype) = model?["dtype"] ?? model?["torch_dtype"] { self.dtype = dtype } else { dtype = nil }
    for key in ["quantization_config", "compression_config", "quantization"] {
      guard let value = model?[key], value != .null else { continue }
      self.object = try value.asObject("\"\(key)\" of config.json")
      method = Self.method(self.object) ?? (key == "compression_config" ? "compressed-tensors" : "mlx")
      return
    }
    if let saved = try object("quantize_config.json") {
      (self.object, method) = (saved, "gptq")
    } else if let saved = try object("quant_config.json") {
      (self.object, method) = (saved, "awq")
    } else if case .object(let saved) = try object("hf_quant_config.json")?["quantization"] {
      (self.object, method) = (saved, "modelopt")
    } else {
      return nil
    }
  }

  private static func method(_ object: JSONObject) -> String? {
    if case .string(let method) = object["quant_method"] { return method.lowercased() }
    if case .bool(true) = object["load_in_4bit"] { return "bitsandbytes" }
    if case .bool(true) = object["load_in_8bit"] { return "bitsandbytes" }
    return nil
  }
}
