/// A network that llama.cpp runs: which of transformers' models it is, and what it calls their tensors and numbers.
///
/// As llama.cpp of November 2026 has it (xllamacpp 2026.10.11549); Spec/gguf-models.md has the rules.
struct Network: Sendable {
  /// `general.architecture`, and what its keys begin with.
  let name: String
  /// `model_type` of config.json.
  let modelTypes: Set<String>
  /// What may stand in front of the tensors' names, the longest first.
  let prefixes: [String]
  let tensors: [TensorRule]
  /// Of tensors that no network here computes with.
  let unused: [NameTemplate]
  /// Of tensors of other parts of the model, such as the one that sees.
  let otherParts: [NameTemplate]
  let parameters: [ParameterRule]
  let traits: Set<Trait>
  /// Of a head, where config.json does not say; nil for the width by the number of heads.
  let assumedHeadLength: Int?

  enum Trait: Sendable {
    /// Positions are a tensor: nothing is rotated.
    case learnsPositions
    /// Takes factors of the rotation's frequencies as tensors, by the type of the scaling.
    case takesLlama3Factors
    case takesLongFactors
    /// Rotates only a part of each head where config.json says so.
    case rotatesPartially
    /// Some layers attend to a window, others to all.
    case alternatesWindows
    /// Reads in both directions, and gives vectors.
    case isEncoder
    case hasExperts
  }

  init(
    _ name: String, _ modelTypes: Set<String>, prefixes: [String], _ traits: Set<Trait> = [],
    assumedHeadLength: Int? = nil, tensors: String,
    unused: [String] = [], otherParts: [String] = [], parameters: String
  ) {
    self.name = name
    self.modelTypes = modelTypes
    self.prefixes = prefixes + [""]
    self.tensors = TensorRule.table(tensors)
    self.unused = unused.map(NameTemplate.init)
    self.otherParts = otherParts.map(NameTemplate.init)
    self.parameters = ParameterRule.table(parameters)
    self.traits = traits
    self.assumedHeadLength = assumedHeadLength
  }

  /// That of transformers' `model_type`; nil where llama.cpp is not written for here.
  static func of(modelType: String) -> Network? { all.first { $0.modelTypes.contains(modelType) } }

  /// A name without what may stand in front of it.
  func stem(of name: String) -> String {
    let prefix = prefixes.first { name.hasPrefix($0) } ?? ""
    return String(name.dropFirst(prefix.count))
  }
}
