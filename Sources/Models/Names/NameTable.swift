/// How models of known families name their tensors in memory and on disk: `Spec/names.txt`.
package struct NameTable: Sendable {
  /// `rename`, `stack`, `join` or `part`: one line.
  package struct Renaming: Sendable {
    let pattern: NamePattern
    let name: NameReplacement

    package init(pattern: Substring, name: Substring) {
      (self.pattern, self.name) = (NamePattern(pattern), NameReplacement(name))
    }

    /// The name in memory; nil for one that is none of the rule's, or is in memory already: what the rule puts in the place of the
    /// text stands around it.
    package func apply(to name: [UInt8]) -> [UInt8]? {
      guard let match = pattern.firstMatch(in: name), !self.name.isAround(match, in: name) else { return nil }
      return self.name.replace(match, in: name)
    }
  }

  /// Several tensors of one form that are one of the other.
  struct Fusion: Sendable {
    enum Kind: Sendable {
      /// Matrices with a number, of one kind or several side by side, are one tensor [numbers, …] in memory.
      case stack
      /// Tensors are one in memory.
      case join
      /// One on disk is several in memory.
      case part
    }
    let kind: Kind
    /// Along which they lie one after another: of a matrix of a stack.
    let axis: Int
    let sources: [NamePattern]
    let targets: [NameReplacement]
  }

  package struct Family: Sendable {
    /// What fits the matrices, by their names on disk, whose rows are the pairs that positions turn, one after another, where in memory
    /// the first of all pairs of a head come before the second ones.
    var pairs: [NamePattern] = []
    var renamings: [Renaming] = []
    var fusions: [Fusion] = []
  }

  /// The families of an architecture's parts: each of the names that begin with a scope, of all names without one.
  package struct Naming: Sendable {
    let parts: [(family: Family, scope: String?)]
    /// `base_model_prefix`: what the names of a model with a head have in front of the bare model's.
    let modelPrefix: String
    /// As the table has it: two namings of one key are one.
    let key: String
    /// `transformers`' names of architectures that it is of.
    let architecture: String
  }

  private(set) var version = ""
  package private(set) var families: [String: Family] = [:]
  /// By class and by model type.
  private(set) var namings: [String: [Naming]] = [:]
  /// All that differ.
  package private(set) var all: [Naming] = []

  package static let shared = NameTable(parsing: text)

  /// - Precondition: the text is the table's own, which the tests have read.
  init(parsing text: String) {
    var open: [String] = []
    var seen: Set<String> = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      switch words[0] {
      case "version": version = words[1...].joined(separator: " ")
      case "family":
        open = words[1...].map(String.init)
        for name in open { families[name] = Family() }
      case "rename":
        let rule = Renaming(pattern: words[1], name: words.count > 3 ? words[3] : "")
        for name in open { families[name]!.renamings.append(rule) }
      case "pairs":
        for name in open { families[name]!.pairs.append(NamePattern(words[1])) }
      case "stack", "join", "part":
        let sides = words[2...].split(separator: ">").map { $0.filter { $0 != "+" } }
        let rule = Fusion(
          kind: words[0] == "stack" ? .stack : words[0] == "join" ? .join : .part, axis: Int(words[1])!,
          sources: sides[0].map { NamePattern($0) }, targets: sides[1].map { NameReplacement($0) })
        for name in open { families[name]!.fusions.append(rule) }
      default:
        add(model: words, &seen)
      }
    }
    // Families that no architecture was built for hold for whole models.
    for (name, family) in families.sorted(by: { $0.key < $1.key }) where namings[name] == nil {
      let naming = Naming(parts: [(family, nil)], modelPrefix: "model", key: "\(name) model", architecture: name)
      namings[name] = [naming]
      if seen.insert(naming.key).inserted { all.append(naming) }
    }
  }

  /// `model TYPE PREFIX CLASS,… : FAMILY FAMILY@SCOPE`
  private mutating func add(model words: [Substring], _ seen: inout Set<String>) {
    let prefix = words[2] == "-" ? "" : String(words[2])
    let places = words.count > 5 ? words[5...] : []
    let parts = places.map { place -> (Family, String?) in
      let sides = place.split(separator: "@", omittingEmptySubsequences: false)
      return (families[String(sides[0])] ?? Family(), sides.count > 1 ? String(sides[1]) : nil)
    }
    let key = places.joined(separator: " ") + " " + prefix
    let classes = words[3].split(separator: ",").map(String.init)
    let naming = Naming(parts: parts, modelPrefix: prefix, key: key, architecture: classes[0])
    for name in classes { namings[name, default: []].insert(naming, at: 0) }
    namings[String(words[1]), default: []].append(naming)
    if !parts.isEmpty, seen.insert(key).inserted { all.append(naming) }
  }
}

extension NameTable.Naming {
  /// What a tensor is to the model in memory, by its name on disk or in memory.
  enum Role: Sendable, Hashable {
    case whole(String)
    /// A part of a tensor in memory; `number` of a stack's matrices.
    case piece(of: String, part: Int, number: Int?)
    /// Of several tensors in memory.
    case joined([String])
  }

  /// Whether the rows of a tensor of that name on disk are pairs.
  func hasPairs(_ name: String) -> Bool {
    parts.contains { part in
      guard !part.family.pairs.isEmpty else { return false }
      var found = false
      var bytes = Array(name.utf8)
      within(part.scope, &bytes) { rest in
        found = part.family.pairs.contains { $0.firstMatch(in: rest) != nil }
        return nil
      }
      return found
    }
  }

  /// The role, and the rule that says so of a part or a tensor with parts.
  func role(of name: String) -> (role: Role, fusion: NameTable.Fusion?) {
    var bytes = Array(name.utf8)
    for (family, scope) in parts {
      for rule in family.renamings {
        within(scope, &bytes) { rule.apply(to: $0) }
      }
    }
    for (family, scope) in parts {
      for rule in family.fusions {
        if let role = role(of: bytes, by: rule, scope) { return (role, rule) }
      }
    }
    return (.whole(String(decoding: bytes, as: UTF8.self)), nil)
  }

  private func role(of name: [UInt8], by rule: NameTable.Fusion, _ scope: String?) -> Role? {
    // The longest first, as the library does.
    for part in rule.sources.indices.sorted(by: { rule.sources[$0].length > rule.sources[$1].length }) {
      var found: (numbers: [Int], names: [String])?
      var copy = name
      within(scope, &copy) { rest in
        guard let match = rule.sources[part].firstMatch(in: rest) else { return nil }
        let names = rule.targets.map { $0.replace(match, in: rest) }
        let front = name.dropLast(rest.count)
        found = (
          match.numbers.compactMap { Int(String(decoding: rest[$0], as: UTF8.self)) },
          names.map { String(decoding: front + $0, as: UTF8.self) }
        )
        return nil
      }
      guard let found else { continue }
      switch rule.kind {
      case .stack: return found.numbers.last.map { .piece(of: found.names[0], part: part, number: $0) }
      case .join: return .piece(of: found.names[0], part: part, number: nil)
      case .part: return .joined(found.names)
      }
    }
    return nil
  }

  /// Changes what follows the scope, with or without the bare model's prefix in front of it.
  private func within(_ scope: String?, _ name: inout [UInt8], _ change: ([UInt8]) -> [UInt8]?) {
    guard let scope else {
      if let changed = change(name) { name = changed }
      return
    }
    func dotted(_ text: String) -> [UInt8] { text.isEmpty ? [] : Array(text.utf8) + [UInt8(ascii: ".")] }
    let long = dotted(modelPrefix) + dotted(scope)
    let prefix = name.starts(with: long) ? long : dotted(scope)
    guard name.starts(with: prefix), let changed = change(Array(name[prefix.count...])) else { return }
    name = prefix + changed
  }
}
