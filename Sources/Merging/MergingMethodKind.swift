import TMPackByteIO

/// A merging method as users name it: what it does, where it is from, and its settings.
package struct MergingMethodKind: Sendable {
  /// Lower-case words joined by `-`.
  package let name: String
  /// One line.
  package let summary: String
  /// The paper that defines it.
  package let paper: String
  /// Without those that scale layers.
  package let ownSettings: [MergeSetting]
  /// Whether the base's values have any influence. Where not, it only says which tensors there are.
  private let usesBase: Bool
  private let scalesLayers: Bool
  private let make: @Sendable (MergeSettings) throws(StorageError) -> any MergingMethod

  init(
    _ name: String, _ summary: String, paper: String, settings: [MergeSetting] = [], usesBase: Bool = true,
    scalesLayers: Bool = true,
    make: @escaping @Sendable (MergeSettings) throws(StorageError) -> any MergingMethod
  ) {
    self.name = name
    self.summary = summary
    self.paper = paper
    ownSettings = settings
    self.usesBase = usesBase
    self.scalesLayers = scalesLayers
    self.make = make
  }

  /// With those that scale layers, which all have but the base.
  package var settings: [MergeSetting] { ownSettings + (scalesLayers ? MergeSetting.layerScaling : []) }

  /// The method with these settings; those that are left out have their defaults.
  ///
  /// - Throws: `unknownName` for a setting that the method does not have, with the nearest that it has; `invalidArgument`
  ///   for a value that is out of bounds.
  package func method(_ given: [MergeSettings.Name: String] = [:]) throws(StorageError) -> any MergingMethod {
    let settings = try MergeSettings(given, of: self)
    let method = try make(settings)
    guard scalesLayers else { return method }
    let (first, growth) = (settings.number("lines_alpha"), settings.number("lines_beta"))
    return first == 1 && growth == 0 ? method : LayerScaling(method, first: first, growth: growth)
  }

  /// Whether the base's values have any influence with these settings. Where not, it only says which tensors there are.
  package func needsBase(with given: some Sequence<MergeSettings.Name>) -> Bool {
    let readsBase = Set(MergeSetting.layerScaling.map(\.name) + [MergeSetting.originName])
    return usesBase || given.contains { readsBase.contains($0.setting) }
  }

  /// The method of that name. `_` counts as `-`, and mergekit's `linear` is `average`.
  ///
  /// - Throws: `unknownName`, with the nearest name.
  package static func named(_ name: String) throws(StorageError) -> MergingMethodKind {
    let words = String(name.map { $0 == "_" ? "-" : $0 })
    let own = words == "linear" ? AverageModel.kind.name : words
    guard let kind = all.first(where: { $0.name == own }) else {
      if let why = MergekitMethod.unsupported[name] {
        throw StorageError(.unsupportedFeature, "mergekit's method '\(name)' is not supported: \(why)")
      }
      throw StorageError(
        .unknownName, "there is no merging method '\(name)'" + name.suggestion(among: all.map(\.name)))
    }
    return kind
  }
}

/// A setting of a merging method.
package struct MergeSetting: Sendable {
  package enum Kind: Sendable {
    case number(ClosedRange<Double>)
    case integer(ClosedRange<Int>)
    case choice([String])
    case flag
  }

  /// In snake case, as mergekit's files have them.
  package let name: String
  package let kind: Kind
  /// As it would be written.
  package let defaultValue: String
  /// Whether each expert may have its own.
  package let isPerExpert: Bool
  /// Half a line.
  package let meaning: String

  init(_ name: String, _ kind: Kind, default value: String, perExpert: Bool = false, _ meaning: String) {
    self.name = name
    self.kind = kind
    defaultValue = value
    isPerExpert = perExpert
    self.meaning = meaning
  }

  /// Any finite number.
  static let anyNumber = Kind.number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude)
  static let positiveOrZero = Kind.number(0...Double.greatestFiniteMagnitude)
  static let fraction = Kind.number(0...1)

  /// Throws `invalidArgument` for a text that is no value of this setting.
  package func check(_ text: String) throws(StorageError) {
    let wanted: String
    switch kind {
    case .number(let bounds):
      if let number = Double(text), bounds.contains(number) { return }
      switch (bounds.lowerBound, bounds.upperBound) {
      case (-.greatestFiniteMagnitude, .greatestFiniteMagnitude): wanted = "a finite number"
      case (let least, .greatestFiniteMagnitude): wanted = "a finite number of at least \(least)"
      case (let least, let most): wanted = "a number from \(least) to \(most)"
      }
    case .integer(let bounds):
      if let number = Int(text), bounds.contains(number) { return }
      wanted = "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
    case .choice(let choices):
      if choices.contains(text) { return }
      wanted = "one of " + choices.joined(separator: ", ")
    case .flag:
      if text == "true" || text == "false" { return }
      wanted = "true or false"
    }
    throw StorageError(.invalidArgument, "the setting '\(name)' must be \(wanted); found '\(text)'")
  }
}
