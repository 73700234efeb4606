import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// An adapter in a single file without a configuration: of kohya's scripts and ComfyUI, or of diffusers
/// (`pytorch_lora_weights.safetensors`).
///
/// | part | kohya, ComfyUI | diffusers |
/// |---|---|---|
/// | A | `lora_down.weight` | `lora_A.weight`, `lora.down.weight`, `lora_linear_layer.down.weight` |
/// | B | `lora_up.weight` | `lora_B.weight`, `lora.up.weight`, `lora_linear_layer.up.weight` |
/// | α | `alpha` | in the header's `lora_adapter_metadata`, for each component |
/// | DoRA | `dora_scale` | `lora_magnitude_vector` |
/// | whole differences | `diff`, `diff_b` of a bias; of norms LyCORIS's `w_norm`, `b_norm` | |
/// | LoHa, LoKr | `hada_…`, `lokr_…`, see `LyCORISAdapter` | |
///
/// Differences are added as they are, whatever α is. Where there is no α, it is the rank; where a LoKr is not factored, what α says is not heeded. kohya's modules have their names in one word, in which underscores stand for dots
/// too: `lora_unet_…`, `lora_te1_…`; what they mean, the base tells.
package enum LoRAFile {
  /// As diffusers writes it, and as it did.
  static let diffusersNames = ["pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"]

  private enum Kind { case a, b, alpha, magnitude, difference, biasDifference }

  private static let suffixes: [(suffix: String, kind: Kind)] = [
    (".lora_down.weight", .a), (".lora_up.weight", .b), (".lora_A.weight", .a), (".lora_B.weight", .b),
    (".lora.down.weight", .a), (".lora.up.weight", .b), (".lora_linear_layer.down.weight", .a),
    (".lora_linear_layer.up.weight", .b), (".lora_A.default.weight", .a), (".lora_B.default.weight", .b),
    (".alpha", .alpha), (".dora_scale", .magnitude), (".lora_magnitude_vector", .magnitude),
    (".lora_magnitude_vector.weight", .magnitude), (".diff", .difference), (".diff_b", .biasDifference),
    (".w_norm", .difference), (".b_norm", .biasDifference),
  ]

  /// Parts of other ways to adapt weights, which tell what a file is.
  private static let others = [
    "oft_blocks", "oft_diag", "lora_mid.weight", "a1.weight", "a2.weight", "b1.weight", "b2.weight", "on_input",
  ]

  private static func part(_ name: String) -> (module: String, kind: Kind)? {
    suffixes.first { name.hasSuffix($0.suffix) && name.utf8.count > $0.suffix.utf8.count }
      .map { (String(name.dropLast($0.suffix.count)), $0.kind) }
  }

  /// Whether all tensors are parts of updates, with at least one A. A file of peft's is none: what it is multiplied by
  /// is said in the configuration beside it.
  static func isAdapter(_ tensors: [TensorInfo]) -> Bool {
    var hasUpdate = false
    for info in tensors {
      if info.name.hasPrefix("base_model.model.") { return false }
      if let part = part(info.name) {
        if [.a, .difference].contains(part.kind) { hasUpdate = true }
      } else if LyCORISAdapter.isPart(info.name) {
        hasUpdate = true
      } else if others.contains(where: { info.name.hasSuffix(".\($0)") }) {
        hasUpdate = true
      } else if !others.contains(where: { info.name.contains(".\($0.prefix(4))") }) {
        return false
      }
    }
    return hasUpdate
  }

  /// Whether all tensors are those of an adapter that peft saved, whose configuration is missing then.
  package static func isOfPEFT(_ tensors: [TensorInfo]) -> Bool {
    tensors.contains { $0.name.contains(".lora_") } && tensors.allSatisfy { $0.name.hasPrefix("base_model.model.") }
  }

  /// - Throws: `malformed`; `unsupportedFeature` for another way to adapt weights than LoRA, DoRA, LoHa and LoKr.
  static func view(_ file: any TensorSource) throws(StorageError) -> (PEFTView, AdapterConfiguration) {
    try located(file: file.label) { () throws(StorageError) in
      let source = try LyCORISAdapter(file)
      var ranks: [ExactString: Int] = [:]
      var alphas: [ExactString: Double] = [:]
      var isDecomposed = false
      var view = PEFTView(source)
      for info in source.tensors {
        try located(tensor: info.name) { () throws(StorageError) in
          guard let (module, kind) = part(info.name) else {
            throw StorageError(
              .unsupportedFeature, "is no part of LoRA, DoRA, LoHa or LoKr; LoCon's middle and OFT cannot be merged")
          }
          let dimensions = info.shape.dimensions
          switch kind {
          case .a:
            guard let rank = dimensions.first, rank > 0 else { throw StorageError(.malformed, "has no rank") }
            ranks[ExactString(module)] = rank
            try view.add("\(module).lora_A.weight", dimensions, .same(info))
          case .b: try view.add("\(module).lora_B.weight", dimensions, .same(info))
          case .alpha: alphas[ExactString(module)] = try alpha(info, in: source)
          case .difference, .biasDifference:
            let parameter = kind == .difference ? "weight" : "bias"
            try view.add(
              AdapterTensorName.ofDifference(module: module, parameter: parameter), dimensions, .same(info))
          case .magnitude:
            isDecomposed = true
            // LyCORIS can scale inputs instead.
            guard !info.name.hasSuffix(".dora_scale") || dimensions.first == info.shape.elementCount else {
              throw StorageError(.unsupportedFeature, "scales inputs, and not outputs as DoRA does")
            }
            try view.add("\(module).lora_magnitude_vector", [info.shape.elementCount], .same(info))
          }
        }
      }
      let components = try Self.components(source.metadata["lora_adapter_metadata"])
      var configuration = AdapterConfiguration(isDecomposed: isDecomposed)
      for (module, rank) in ranks {
        let said = alphas.removeValue(forKey: module)
        var alpha = said ?? Double(rank)
        if let own = source.modules[module] {
          alpha = own.ownRank.flatMap { ownRank in said.map { $0 / Double(ownRank) * Double(rank) } } ?? Double(rank)
        }
        for (prefix, own) in components where module.text.hasPrefix(prefix + ".") {
          alpha = own.scaling(of: String(module.text.dropFirst(prefix.count + 1)), rank: rank) * Double(rank)
        }
        configuration.set(module.text, rank: rank, alpha: alpha)
      }
      view.sort()
      let stray = alphas.keys.filter {
        view.tensor(named: AdapterTensorName.ofDifference(module: $0.text, parameter: "weight")) == nil
      }
      if let stray = stray.min(by: { $0.text.precedesInBytes($1.text) }) {
        throw StorageError(.malformed, "has no update beside it", tensor: stray.text + ".alpha")
      }
      return (view, configuration)
    }
  }

  private static func alpha(_ info: TensorInfo, in source: any TensorSource) throws(StorageError) -> Double {
    guard info.shape.elementCount == 1 else {
      throw StorageError(.malformed, "is not one number; its shape is \(info.shape)")
    }
    let bytes = try source.bytes(of: info)
    let value: Double
    if let format = info.dtype.floatFormat {
      var number = [Double(0)]
      try bytes.withBytes { raw in number.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
      value = number[0]
    } else if info.dtype == .i64 || info.dtype == .i32 {
      value = try bytes.withBytes { raw in
        info.dtype == .i64
          ? Double(Int64(littleEndian: raw.loadUnaligned(as: Int64.self)))
          : Double(Int32(littleEndian: raw.loadUnaligned(as: Int32.self)))
      }
    } else {
      throw StorageError(.unsupportedFeature, "is of dtype \(info.dtype.rawValue)")
    }
    guard value.magnitude < 0x1p64 else { throw StorageError(.malformed, "is \(value), beyond all reason") }
    return value
  }

  /// The configurations of a pipeline's components, which stand in one object: `unet.lora_alpha`.
  private static func components(_ text: String?) throws(StorageError) -> [(prefix: String, AdapterConfiguration)] {
    guard let text else { return [] }
    let object = try JSONValue(parsing: Array(text.utf8)).asObject("\"lora_adapter_metadata\"")
    var components: [String: JSONObject] = [:]
    for member in object.members {
      guard let dot = member.name.firstIndex(of: ".") else { continue }
      components[String(member.name[..<dot]), default: JSONObject()][
        String(member.name[member.name.index(after: dot)...])] = member.value
    }
    return try components.sorted { $0.key.precedesInBytes($1.key) }
      .map { entry throws(StorageError) in
        var object = entry.value
        object["peft_type"] = "LORA"
        return (entry.key, try AdapterConfiguration(object))
      }
  }
}
