import TMPackArchiveFormat
import TMPackByteIO

/// Values for the settings of one method, checked.
package struct MergeSettings: Sendable {
  /// A setting, for all experts or for one: `density` or `density@math`. Two spellings of a name are two experts.
  package struct Name: Sendable, Hashable, CustomStringConvertible {
    package let setting: String
    private let exactExpert: ExactString?

    package init(_ setting: String, expert: String? = nil) {
      self.setting = setting
      exactExpert = expert.map { ExactString($0) }
    }

    package var expert: String? { exactExpert?.text }

    /// As a command line has it.
    package init(parsing text: String) {
      guard let at = text.firstIndex(of: "@") else {
        self.init(text)
        return
      }
      self.init(String(text[..<at]), expert: String(text[text.index(after: at)...]))
    }

    package var description: String { expert.map { "\(setting)@\($0)" } ?? setting }
  }

  private let kind: MergingMethodKind
  private let given: [Name: String]

  init(_ given: [Name: String], of kind: MergingMethodKind) throws(StorageError) {
    for (name, value) in given.sorted(by: { $0.key.description < $1.key.description }) {
      guard let setting = kind.settings.first(where: { $0.name == name.setting }) else {
        throw StorageError(
          .unknownName,
          "the merging method '\(kind.name)' has no setting '\(name.setting)'"
            + name.setting.suggestion(among: kind.settings.map(\.name)))
      }
      if let expert = name.expert, !setting.isPerExpert {
        throw StorageError(
          .invalidArgument, "the setting '\(setting.name)' is the same for all experts; found one for '\(expert)'")
      }
      try setting.check(value)
    }
    // The archive's record of the method, whose names are texts, could keep only one of them.
    guard Set(given.keys.map(\.description)).count == given.count else {
      throw StorageError(.invalidArgument, "a setting is given for two experts whose names are spellings of one text")
    }
    self.kind = kind
    self.given = given
  }

  /// As the archive records the method: the settings that were given.
  package var record: SharedMethod {
    SharedMethod(
      SharedMethod.Name(kind.name),
      parameters: Dictionary(uniqueKeysWithValues: given.map { ($0.key.description, $0.value) }))
  }

  // The settings exist and their values are sound: `init` saw to it, and a method asks for its own.

  package func number(_ name: String) -> Double { Double(text(name))! }
  package func integer(_ name: String) -> Int { Int(text(name))! }
  func flag(_ name: String) -> Bool { text(name) == "true" }
  package func choice(_ name: String) -> String { text(name) }

  package func numbers(_ name: String) -> PerExpert<Double> {
    var numbers = PerExpert(number(name))
    for (key, value) in given where key.setting == name {
      if let expert = key.expert { numbers[expert] = Double(value)! }
    }
    return numbers
  }

  private func text(_ name: String) -> String {
    guard let setting = kind.settings.first(where: { $0.name == name }) else {
      preconditionFailure("'\(kind.name)' declares '\(name)'")
    }
    return given[Name(name)] ?? setting.defaultValue
  }
}
