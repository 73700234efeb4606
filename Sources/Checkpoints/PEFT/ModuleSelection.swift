import TMPackByteIO
import TMPackJSON

/// Which modules an adapter's configuration means: peft passes over what its file has of others.
///
/// Source: `check_target_module_exists` of peft 0.21.2.
struct ModuleSelection: Sendable {
  private enum Names: Sendable {
    /// Names, or ends of names behind a dot.
    case list([String])
    case pattern(ModulePattern)

    func contains(_ module: String) -> Bool {
      switch self {
      case .list(let names): names.contains { module.hasSameBytes(as: $0) || module.hasSuffix("." + $0) }
      case .pattern(let pattern): pattern.matches(module)
      }
    }
  }

  private let targets: Names?
  private let excluded: Names?
  /// Numbers of layers; nil for all.
  private let layers: Set<Int>?

  /// Where nothing is said of modules.
  static let all = ModuleSelection()

  private init() { (targets, excluded, layers) = (nil, nil, nil) }

  /// What cannot be understood leaves nothing out.
  init(_ object: JSONObject) {
    targets = Self.names(object["target_modules"])
    excluded = Self.names(object["exclude_modules"])
    guard case .list? = targets, object["layers_pattern"].map({ $0 == .null || $0 == .array([]) }) ?? true else {
      layers = nil
      return
    }
    switch object["layers_to_transform"] {
    case .integer(let number)?: layers = Int(exactly: number).map { [$0] }
    case .array(let numbers)? where !numbers.isEmpty:
      layers = Set(numbers.compactMap { if case .integer(let number) = $0 { Int(exactly: number) } else { nil } })
    default: layers = nil
    }
  }

  private static func names(_ value: JSONValue?) -> Names? {
    switch value {
    case .array(let values)?:
      let names = values.compactMap { if case .string(let name) = $0 { name } else { nil } }
      return names.isEmpty ? nil : .list(names)
    case .string(let text)? where text != "all-linear": return (try? ModulePattern(text)).map { .pattern($0) }
    default: return nil
    }
  }

  /// The member of the configuration that leaves a module out; nil for one that is meant.
  func member(leavingOut module: String) -> String? {
    if excluded?.contains(module) == true { return "exclude_modules" }
    if targets?.contains(module) == false { return "target_modules" }
    guard let layers else { return nil }
    // The last number between dots, behind another component.
    let components = module.split(separator: ".", omittingEmptySubsequences: false).dropLast()
    let number = components.enumerated().last { $0.offset >= 2 && Int($0.element) != nil }.flatMap { Int($0.element) }
    return number.map(layers.contains) == true ? nil : "layers_to_transform"
  }
}
