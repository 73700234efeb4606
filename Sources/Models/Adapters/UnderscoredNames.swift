import TMPackCheckpoints
import TMPackTensorKit

/// The base's weights by the words that kohya's scripts give to modules.
struct UnderscoredNames {
  /// What the base's names may begin with, by what the words do: components of a pipeline, parts of a checkpoint in one file, or
  /// nothing, where the base is that part alone.
  private static let beginnings: [String: [String]] = [
    "lora_unet_": ["unet/", "transformer/", "model.diffusion_model.", "diffusion_model.", ""],
    "lora_transformer_": ["transformer/", ""],
    "lycoris_": ["", "unet/", "transformer/", "model.diffusion_model.", "diffusion_model."],
    "lora_te1_": ["text_encoder/", "conditioner.embedders.0.transformer.", ""],
    "lora_te2_": ["text_encoder_2/", "conditioner.embedders.1.model.", ""],
    "lora_te3_": ["text_encoder_3/", ""], "lora_te_": ["text_encoder/", "cond_stage_model.transformer.", ""],
  ]

  /// nil for a name that two modules share.
  private var tensors: [String: TensorInfo?] = [:]
  private let base: any TensorSource

  static func areUsed(by modules: [String]) -> Bool {
    modules.contains(where: KohyaName.isUsed)
  }

  init(of base: any TensorSource) {
    self.base = base
    for info in base.tensors {
      guard let module = AdaptableModules.module(of: info.name) else { continue }
      let word = KohyaName.word(for: module)
      if tensors[word] == nil { tensors[word] = .some(info) } else { tensors[word] = .some(nil) }
    }
  }

  /// - Parameter name: of a module's weight or bias.
  func tensor(named name: String) -> TensorInfo? {
    if name.hasSuffix(AdaptableModules.biasSuffix) {
      let weight = name.dropLast(AdaptableModules.biasSuffix.count) + AdaptableModules.weightSuffix
      return tensor(named: String(weight)).flatMap { AdaptableModules.module(of: $0.name) }
        .flatMap { base.tensor(named: $0 + AdaptableModules.biasSuffix) }
    }
    guard let module = AdaptableModules.module(of: name),
      let part = KohyaName.prefixes.first(where: { module.hasPrefix($0.text) })
    else { return nil }
    let rest = module.dropFirst(part.text.count)
    for beginning in Self.beginnings[part.text] ?? [] {
      let word = KohyaName.word(for: beginning)
      if let found = tensors[word + rest] { return found }
      // Text encoders are saved with the name of the model within, or without it.
      let inner = "text_model_"
      if rest.hasPrefix(inner), let found = tensors[word + rest.dropFirst(inner.count)] { return found }
    }
    return nil
  }

  /// The module that a word means, with its component and a slash in front; nil for one that the base lacks, or has under the names of
  /// another library.
  func module(ofWord word: String) -> String? {
    guard let prefix = KohyaName.prefixes.first(where: { word.hasPrefix($0.text) }),
      let found = tensor(named: word + AdaptableModules.weightSuffix),
      let module = AdaptableModules.module(of: found.name)
    else { return nil }
    if module.contains("/") { return module }
    let isOfAnother = Self.beginnings[prefix.text]!.contains {
      !$0.isEmpty && !$0.hasSuffix("/") && module.hasPrefix($0)
    }
    return isOfAnother ? nil : "\(prefix.component)/\(module)"
  }
}
