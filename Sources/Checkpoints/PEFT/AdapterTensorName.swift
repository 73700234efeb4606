import TMPackByteIO

/// What a tensor of an adapter's file is, by its name.
///
/// `base_model.model.` stands in front, then the module's name in the model; `.default`, the adapter's own name, may
/// stand behind `lora_A` and its like. Wrappers of peft's (`base_layer`, `modules_to_save`) are no part of the module.
enum AdapterTensorName {
  /// One side of an update B · A.
  case side(module: String, Side)
  /// What DoRA scales the module's outputs to.
  case magnitude(module: String)
  /// What is added to the module's bias, but for the scale.
  case bias(module: String)
  /// What is added to one of the model's tensors as it is, of the tensor's shape: of no layout of peft's, but of views of other files.
  case difference(tensor: String)
  /// Rows in place of some of an embedding's.
  case rows(module: String)
  /// A whole tensor of the model; `isWrapped` if the name has `modules_to_save`, as a copy of another tensor may.
  case whole(tensor: String, isWrapped: Bool)
  /// A copy of the base's own.
  case original
  /// What only training needs.
  case trainingState

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

  private static let difference = "lora_difference"
  private static let magnitude = "lora_magnitude_vector"
  /// Of VeLoRA and MonteCLoRA.
  private static let trainingStates = ["lora_velora_embed", "lora_monteclora_sampler"]

  /// The name by which a difference of a module's weight or bias is known.
  static func ofDifference(module: String, parameter: String) -> String { "\(module).\(difference).\(parameter)" }

  /// - Throws: `unsupportedFeature` for a part of LoRA that is not known.
  init(_ name: String) throws(StorageError) {
    var components = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if components.starts(with: ["base_model", "model"]) { components.removeFirst(2) }
    func joined(_ components: some Sequence<String>) -> String { components.joined(separator: ".") }

    // Modules of other libraries begin with "lora_" too.
    let place =
      components.firstIndex { component in
        [Self.magnitude, Self.difference].contains(component) || Self.trainingStates.contains(component)
          || Self.sides.contains { $0.marker == component }
      } ?? components.lastIndex { $0.hasPrefix("lora_") }
    if let place {
      if Self.trainingStates.contains(components[place]) {
        self = .trainingState
        return
      }
      // A module within one that is wrapped, as the output of an attention is; behind it, wrappers of parameters.
      let end = components[..<place].lastIndex { $0 != "base_layer" }.map { $0 + 1 } ?? 0
      let module = joined(components[..<end].filter { $0 != "base_layer" } + components[end..<place])
      var rest = Array(components[(place + 1)...])
      let last = rest.last
      let isWeight = last == "weight"
      if isWeight || last == "bias" { rest.removeLast() }
      if components[place] == Self.difference, rest.isEmpty, let last, isWeight || last == "bias" {
        self = .difference(tensor: "\(module).\(last)")
        return
      }
      if rest.count <= 1 {
        if components[place] == Self.magnitude {
          self = .magnitude(module: module)
          return
        }
        if last == "bias", components[place] == "lora_B" {
          self = .bias(module: module)
          return
        }
        if let known = Self.sides.first(where: { $0.marker == components[place] }), last != "bias",
          isWeight == !known.suffix.isEmpty
        {
          self = .side(module: module, known.side)
          return
        }
      }
      throw StorageError(.unsupportedFeature, "is a part of an adapter that cannot be merged")
    }
    if let place = components.firstIndex(of: "token_adapter") {
      // The whole weight under the rows, saved where the vocabulary was resized.
      if components.count == place + 3, components[place + 1] == "base_layer" {
        self = .whole(tensor: joined(components[..<place] + components[(place + 2)...]), isWrapped: false)
        return
      }
      guard components.count > place + 1, components[place + 1] == "trainable_tokens_delta",
        components.count <= place + 3
      else { throw StorageError(.unsupportedFeature, "is a part of an adapter that cannot be merged") }
      self = .rows(module: joined(components[..<place]))
      return
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
