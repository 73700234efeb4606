import TMPackByteIO
import TMPackYAML

/// The settings that a recipe gives in one place, for the whole recipe, some layers or a model.
struct RecipeSettings: Sendable {
  package private(set) var values: [String: RecipeValue] = [:]
  /// What was passed over, as `name: why`.
  package private(set) var notes: [String] = []

  init() {}

  /// - Parameter mergekit: whose settings these are, if it is one of its methods.
  /// - Throws: `unknownName` or `malformed` with the line.
  init(
    _ node: YAMLNode?, of kind: MergingMethodKind, mergekit: MergekitMethod?, perExpert: Bool
  ) throws(StorageError) {
    guard let node else { return }
    if case .null = node.content { return }
    let own = kind.settings.map(\.name)
    let passed = MergekitMethod.parameters.union(MergekitMethod.hints).subtracting(own)
    let mapping = try RecipeMapping(
      node, "the parameters of '\(kind.name)'", keys: own, alsoKnown: mergekit == nil ? MergekitMethod.hints : passed)
    for member in mapping.members {
      guard let setting = kind.settings.first(where: { $0.name == member.key }) else {
        notes.append(Self.passedOver(member.key, by: mergekit?.name ?? kind.name))
        continue
      }
      guard setting.isPerExpert || !perExpert else {
        throw StorageError(
          .malformed,
          "line \(member.line): '\(setting.name)' is the same for all models: it belongs to the recipe's parameters")
      }
      let value = try RecipeValue(member.value, for: setting)
      values[setting.name] = value
      for glob in value.globs {
        notes.append("the filter '\(glob)' is a glob for whole names here; mergekit looks for it as it is written")
      }
    }
  }

  static func passedOver(_ key: String, by method: String) -> String {
    MergekitMethod.hints.contains(key)
      ? "'\(key)' is passed over: it changes how mergekit works, and no number"
      : "'\(key)' is passed over, as mergekit does: its method '\(method)' has no such parameter"
  }

  subscript(name: String) -> RecipeValue? { values[name] }
}
