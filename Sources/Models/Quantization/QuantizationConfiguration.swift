import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON

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

  /// Where nothing is said of a quantisation.
  static let unnamed = ""

  package var isKnown: Bool { method == Self.unnamed || Self.known.contains(method) }

  /// - Parameter folder: of the component, in a pipeline; empty otherwise.
  /// - Returns: nil where no file speaks of a quantisation or a dtype.
  /// - Throws: what reading the files throws. A file that is no JSON says nothing.
  package init?(in files: [CarriedContent], folder: String = "") throws(StorageError) {
    func text(_ name: String) throws(StorageError) -> ConfigurationText? {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      guard let file = files.first(where: { $0.name.text.hasSameBytes(as: path) }) else { return nil }
      return ConfigurationText(try file.bytes())
    }
    let model = try text("config.json")
    if case .string(let dtype) = model?[["dtype"]] ?? model?[["torch_dtype"]] {
      self.dtype = dtype
    } else {
      dtype = nil
    }
    // A model of several parts may say it for the one that is quantised.
    for path in model?.objects ?? [] {
      for key in Self.members {
        guard case .object(let object) = model?[path + [key]] else { continue }
        self.object = object
        method = Self.method(object) ?? (key == "compression_config" ? "compressed-tensors" : "mlx")
        return
      }
    }
    for (name, method) in Self.otherFiles.sorted(by: { $0.key < $1.key }) {
      guard let saved = try text(name) else { continue }
      // ModelOpt's has another object within.
      guard case .object(let object) = saved[["quantization"]] ?? saved[[]] else { continue }
      (self.object, self.method) = (object, method)
      return
    }
    // The dtype alone may be of use.
    guard dtype != nil else { return nil }
    (object, method) = (JSONObject(), Self.unnamed)
  }

  /// Members of `config.json`, the first of which counts.
  private static let members = ["quantization_config", "compression_config", "quantization"]
  /// Files of the other libraries, with their methods.
  package static let otherFiles = [
    "quantize_config.json": "gptq", "quant_config.json": "awq", "hf_quant_config.json": "modelopt",
  ]

  private static func method(_ object: JSONObject) -> String? {
    if case .string(let method) = object["quant_method"] { return method.lowercased() }
    if case .bool(true) = object["load_in_4bit"] { return "bitsandbytes" }
    if case .bool(true) = object["load_in_8bit"] { return "bitsandbytes" }
    return nil
  }
}

// What decoding asks for. A configuration may name several groups of modules; each weight's shapes tell which fits.
extension QuantizationConfiguration {
  /// Rows and columns of blocks with one scale.
  var blockSizes: [(rows: Int, columns: Int)] {
    weights.compactMap { weights in
      guard case .array(let sizes) = weights["weight_block_size"] ?? weights["block_structure"], sizes.count == 2,
        case .integer(let rows) = sizes[0], case .integer(let columns) = sizes[1], rows > 0, columns > 0
      else { return nil }
      return (Int(rows), Int(columns))
    }
  }

  /// Columns with one scale.
  var groupSizes: [Int] { integers(["group_size", "q_group_size"]) }

  /// Bits of integers.
  var integerWidths: Set<Int> { Set(integers(["bits", "num_bits", "w_bit"])) }

  /// A text of the configuration, in lower case.
  func text(_ name: String) -> String? {
    if case .string(let text) = object[name] { text.lowercased() } else { nil }
  }

  /// The object itself and what it says of the weights of each group.
  private var weights: [JSONObject] {
    var all = [object]
    if case .object(let groups) = object["config_groups"] {
      for (_, group) in groups.members {
        if case .object(let group) = group, case .object(let weights) = group["weights"] { all.append(weights) }
      }
    }
    return all
  }

  private func integers(_ names: [String]) -> [Int] {
    weights.flatMap { weights in
      names.compactMap { name in if case .integer(let value) = weights[name] { Int(value) } else { nil } }
    }
  }
}
