import ByteIO

/// What a tensor of an adapter's file is, by its name.
///
/// `base_model.model.` stands in front, then the module's name in the model; `.default`, the adapter's own name, may
/// stand behind `lora_A` and its like. Wrappers of peft's (`base_layer`, `modules_to_save`) are no part of the module.
enum AdapterTensorName {
  /// One side of an update B · A.
  case side(module: String, Side)
  /// What DoRA scales the module's outputs to.
  case magnitude(module: String)
  /// A whole tensor of the model; `isWrapped` if the name has `modules_to_save`, as a copy of another tensor may.
  case whole(tensor: String, isWrapped: Bool)
  /// A copy of the base's own.
  case original

  enum Side: Hashable {
    case a
    case b
    case embeddingA
    case embeddingB
  }

  private static let sides: [(marker: String, side: Side, suffix: String)] = [
    ("lora_A", .a, "weight"), ("lora_B", .b, "weight"), ("lora_embedding_A", .embeddingA, ""),
    ("lora_embedding_B", .embeddingB, ""),
  ]

  /// - Throws: `unsupportedFeature` for a part of LoRA that is not known.
  init(_ name: String) throws(StorageError) {
    var components = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if components.starts(with: ["base_model", "model"]) { components.removeFirst(2) }
    func joined(_ components: some Sequence<String>) -> String { components.joined(separator: ".") }

    if let place = components.firstIndex(where: { $0.hasPrefix("lora_") }) {
      let module = joined(components[..<place])
      var rest = Array(components[(place + 1)...])
      let isWeight = rest.last == "weight"
      if isWeight { rest.removeLast() }
      if rest.count <= 1 {
        if components[place] == "lora_magnitude_vector" {
          self = .magnitude(module: module)
          return
        }
        if let known = Self.sides.first(where: { $0.marker == components[place] }), isWeight == !known.suffix.isEmpty {
          self = .side(module: module, known.side)
          return
        }
      }
      throw StorageError(.unsupportedFeature, "is a part of an adapter that cannot be merged")
    }
    if components.contains("original_module") {
      self = .original
      return
    }
    components.removeAll { $0 == "base_layer" }
    var isWrapped = false
    if let place = components.firstIndex(of: "modules_to_save") {
      isWrapped = true
      // modules_to_save.NAME.weight, or without the adapter's name.
      components.removeSubrange(place..<max(place + 1, components.count - 1))
    }
    self = .whole(tensor: joined(components), isWrapped: isWrapped)
  }
}
