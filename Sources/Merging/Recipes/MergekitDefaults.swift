/// What holds in a recipe for one of mergekit's methods where it says nothing.
struct MergekitDefaults {
  /// nil for a method that is not one of mergekit's: our defaults hold then.
  package let method: MergekitMethod?
  private let kind: MergingMethodKind
  private let hasBase: Bool

  init(_ method: MergekitMethod?, _ kind: MergingMethodKind, settings _: RecipeSettings, base: String?) {
    self.method = method
    self.kind = kind
    hasBase = base != nil
  }

  /// Whether the base's values count; nil where the settings say.
  var needsBase: Bool? {
    guard let method else { return nil }
    return method.countsBase ? false : method.isBaseOptional && !hasBase ? false : true
  }

  /// By our settings' names.
  package var values: [String: String] {
    guard let method else { return [:] }
    var values = Dictionary(uniqueKeysWithValues: method.defaults.map { ($0.setting, $0.value) })
    let own = Set(kind.settings.map(\.name))
    if own.contains(MergeSetting.conventionName) {
      values[MergeSetting.conventionName] = MergeConvention.mergekit.rawValue
    }
    if own.contains(MergeSetting.originName), !hasBase || method.countsBase {
      values[MergeSetting.originName] = VectorOrigin.zero.rawValue
    }
    return values
  }

  /// What was filled in, one note for each of its reasons.
  package func notes(models: [MergeRecipe.Model], slices: [RecipeSlice], settings: RecipeSettings) -> [String] {
    guard let method else { return [] }
    var filled: [String] = []
    for (setting, value) in method.defaults {
      if let place = gap(setting, models, slices, settings) { filled.append("\(setting) = \(value)\(place)") }
    }
    var notes: [String] = []
    if !filled.isEmpty {
      let own = kind.settings.filter { setting in
        method.defaults.contains { $0.setting == setting.name && $0.value != setting.defaultValue }
          && filled.contains { $0.hasPrefix(setting.name + " ") }
      }
      let ours = own.map { "\($0.name) = \($0.defaultValue)" }.joined(separator: ", ")
      notes.append(
        "left out, and as in mergekit: \(filled.joined(separator: ", "))"
          + (ours.isEmpty ? "" : "; on the command line \(kind.name) has \(ours)"))
    }
    for name in method.required {
      guard let place = gap(name, models, slices, settings),
        let setting = kind.settings.first(where: { $0.name == name })
      else { continue }
      notes.append("left out, which mergekit does not allow: \(name), taken as \(setting.defaultValue)\(place)")
    }
    return notes
  }

  /// Where a setting has no value, as an addition to its name; nil where it has one everywhere.
  private func gap(
    _ name: String, _ models: [MergeRecipe.Model], _ slices: [RecipeSlice], _ settings: RecipeSettings
  ) -> String? {
    let isPerExpert = kind.settings.first { $0.name == name }?.isPerExpert ?? false
    let places: [Int?] = isPerExpert ? models.indices.map { $0 } : [nil]
    let given = places.map { model in
      slices.map { slice in slice.value(name, model: model) + [settings[name]].compactMap { $0 } }
    }
    let whole = given.map { $0.allSatisfy { $0.contains(where: \.appliesToAll) } }
    if !whole.contains(false) { return nil }
    let isPartly = given.joined().contains { !$0.isEmpty }
    if !isPartly { return "" }
    let names = zip(places, whole).compactMap { place, isWhole in isWhole ? nil : place.map { models[$0].name } }
    let who = names.isEmpty || names.count == models.count ? "" : " of \(names.joined(separator: ", "))"
    let isFiltered = given.joined().contains { !$0.isEmpty && !$0.contains(where: \.appliesToAll) }
    return who + (isFiltered ? " where no filter applies" : "")
  }
}
