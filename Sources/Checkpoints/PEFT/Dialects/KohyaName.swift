/// A module's name as kohya's scripts have it: one word for the whole path, with underscores where the model has dots, behind the
/// part of the pipeline that is meant.
///
/// `lora_unet_down_blocks_0_attentions_0_proj_in` is `down_blocks.0.attentions.0.proj_in` of the component `unet`.
package enum KohyaName {
  /// What such words begin with, and the components of pipelines that they mean.
  package static let prefixes: [(text: String, component: String)] = [
    ("lora_unet_", "unet"), ("lora_transformer_", "transformer"), ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"), ("lora_te3_", "text_encoder_3"), ("lora_te_", "text_encoder"),
    ("lycoris_", "unet"),
  ]

  package static func isUsed(by module: String) -> Bool { prefixes.contains { module.hasPrefix($0.text) } }

  package static func word(for path: String) -> String { String(path.map { $0 == "." ? "_" : $0 }) }

  /// What stands in front of the modules of a component; nil for one that has no name here.
  ///
  /// - Parameter isOneOfSeveral: whether the pipeline has a second text encoder, so that the first is numbered.
  static func prefix(ofComponent component: String, isOneOfSeveral: Bool) -> String? {
    prefixes.first {
      $0.component == component && (component != "text_encoder" || isOneOfSeveral != ($0.text == "lora_te_"))
    }?
    .text
  }
}
