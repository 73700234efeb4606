import TMPackByteIO
import TMPackTensorKit
import TMPackYAML

/// A setting in a recipe, which may depend on the tensor.
indirect enum RecipeValue: Sendable {
  /// As it was written.
  case constant(String)
  /// At equal distances from the first layer to the last; linear between them.
  case gradient([Double])
  /// The first that applies to the tensor's name.
  case conditional([(filter: RecipeFilter?, value: RecipeValue)])

  /// - Throws: `malformed` with the line, and for a value that the setting cannot have.
  init(_ node: YAMLNode, for setting: MergeSetting) throws(StorageError) {
    switch node.content {
    case .scalar(let written):
      let text = try Self.text(written, for: setting, line: node.line)
      try located(line: node.line) { () throws(StorageError) in try setting.check(text) }
      self = .constant(text)
    case .sequence(let nodes) where nodes.contains { if case .mapping = $0.content { true } else { false } }:
      self = .conditional(
        try nodes.map { node throws(StorageError) in try Self.conditioned(node, for: setting) })
    case .mapping:
      self = .conditional([try Self.conditioned(node, for: setting)])
    case .sequence(let nodes):
      guard case .number = setting.kind, !nodes.isEmpty else {
        throw StorageError(.malformed, "line \(node.line): '\(setting.name)' cannot change from layer to layer")
      }
      self = .gradient(
        try nodes.map { node throws(StorageError) in
          let text = try Self.text(node.text("a number"), for: setting, line: node.line)
          try located(line: node.line) { () throws(StorageError) in try setting.check(text) }
          return Double(text)!  // `check` has read it.
        })
    case .null:
      throw StorageError(
        .malformed, "line \(node.line): '\(setting.name)' must have a value; found \(node.kindName)")
    }
  }

  private static func conditioned(
    _ node: YAMLNode, for setting: MergeSetting
  ) throws(StorageError) -> (filter: RecipeFilter?, value: RecipeValue) {
    let mapping = try RecipeMapping(
      node, "a value for some tensors", keys: ["filter", "value"],
      refusing: ["pattern": "mergekit itself passes over it, and the value counts for all tensors; say filter"])
    let filter = try mapping["filter"].map { node throws(StorageError) in
      try RecipeFilter(node.text("a part of a tensor's name, or a glob"))
    }
    return (filter, try RecipeValue(mapping.required("value"), for: setting))
  }

  /// As our settings are written, of what YAML's readers take for the same.
  ///
  /// - Throws: `malformed` for a number that begins with 0, which is octal to mergekit's reader.
  private static func text(_ text: String, for setting: MergeSetting, line: Int) throws(StorageError) -> String {
    switch setting.kind {
    case .flag:
      let word = text.lowercased()
      return ["yes", "on", "1", "true"].contains(word)
        ? "true" : ["no", "off", "0", "false"].contains(word) ? "false" : text
    case .number, .integer:
      let digits = text.drop { $0 == "+" || $0 == "-" }
      guard digits.count > 1, digits.first == "0", digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
        return text
      }
      throw StorageError(.malformed, "line \(line): '\(text)' is octal to some readers of YAML; leave the first 0 out")
    case .choice:
      return text
    }
  }

  /// Whether there is a value for every tensor.
  var appliesToAll: Bool {
    switch self {
    case .constant, .gradient: true
    case .conditional(let cases): cases.contains { $0.filter?.isForAll ?? true && $0.value.appliesToAll }
    }
  }

  /// The filters that are not what they are in mergekit.
  package var globs: [String] {
    guard case .conditional(let cases) = self else { return [] }
    return cases.flatMap { ($0.filter.map { $0.isGlob && !$0.isForAll ? [$0.text] : [] } ?? []) + $0.value.globs }
  }

  /// What it is for a tensor; nil when no condition applies.
  ///
  /// - Parameter depth: 0 in the first layer, 1 in the last.
  package func text(for tensor: String, depth: Double) -> String? {
    switch self {
    case .constant(let text): return text
    case .gradient(let values): return String(describing: Self.interpolated(values, at: depth))
    case .conditional(let cases):
      return cases.first { $0.filter?.applies(to: tensor) ?? true }?.value.text(for: tensor, depth: depth)
    }
  }

  private static func interpolated(_ values: [Double], at depth: Double) -> Double {
    let place = depth * Double(values.count - 1)
    let left = min(Int(place), values.count - 1)
    let right = min(left + 1, values.count - 1)
    let part = place - Double(left)
    return (1 - part) * values[left] + part * values[right]
  }

  /// For the archive's record.
  package var summary: String {
    switch self {
    case .constant(let text): text
    case .gradient(let values): "[" + values.map { String(describing: $0) }.joined(separator: ", ") + "]"
    case .conditional(let cases):
      cases.map { "\($0.filter.map { "\($0.text): " } ?? "")\($0.value.summary)" }.joined(separator: "; ")
    }
  }
}

/// Which tensors: those with a text in their name, or that match a glob.
struct RecipeFilter: Sendable {
  package let text: String
  let isGlob: Bool
  private let glob: Glob

  init(_ text: String) throws(StorageError) {
    self.text = text
    isGlob = text.contains { "*?[".contains($0) }
    glob = try Glob(isGlob ? text : "*\(text)*")
  }

  var isForAll: Bool { text == "*" }

  func applies(to tensor: String) -> Bool { glob.matches(tensor) }
}
