import TMPackTensorKit

/// The base's weights by the names that kohya's scripts give to modules: one word for the whole path, with underscores where the
/// model has dots, behind the part of the pipeline that is meant.
///
/// `lora_unet_down_blocks_0_attentions_0_proj_in` is `down_blocks.0.attentions.0.proj_in` of the component `unet`.
struct UnderscoredNames {
  /// Modules' prefixes, with what the base's names may begin with: components of a pipeline, parts of a checkpoint in one
  /// file, or nothing, where the base is that part alone.
  private static let parts: [(prefix: String, beginnings: [String])] = [
    ("lora_unet_", ["unet/", "transformer/", "model.diffusion_model.", "diffusion_model.", ""]),
    ("lora_transformer_", ["transformer/", ""]),
    ("lora_te1_", ["text_encoder/", "conditioner.embedders.0.transformer.", ""]),
    ("lora_te2_", ["text_encoder_2/", "conditioner.embedders.1.model.", ""]),
    ("lora_te3_", ["text_encoder_3/", ""]), ("lora_te_", ["text_encoder/", "cond_stage_model.transformer.", ""]),
  ]

  /// nil for a name that two modules share.
  private var tensors: [String: TensorInfo?] = [:]

  static func areUsed(by modules: [String]) -> Bool {
    modules.contains { module in parts.contains { module.hasPrefix($0.prefix) } }
  }

  init(of base: any TensorSource) {
    for info in base.tensors {
      guard let module = AdaptableModules.module(of: info.name) else { continue }
      let word = String(module.map { $0 == "." ? "_" : $0 })
      if tensors[word] == nil { tensors[word] = .some(info) } else { tensors[word] = .some(nil) }
    }
  }

  /// - Parameter name: of a module's weight.
  func tensor(named name: String) -> TensorInfo? {
    guard let module = AdaptableModules.module(of: name),
      let part = Self.parts.first(where: { module.hasPrefix($0.prefix) })
    else { return nil }
    let rest = module.dropFirst(part.prefix.count)
    for beginning in part.beginnings {
      let word = String(beginning.map { $0 == "." ? "_" : $0 })
      if let found = tensors[word + rest] { return found }
      // Text encoders are saved with the name of the model within, or without it.
      let inner = "text_model_"
      if rest.hasPrefix(inner), let found = tensors[word + rest.dropFirst(inner.count)] { return found }
    }
    return nil
  }
}
