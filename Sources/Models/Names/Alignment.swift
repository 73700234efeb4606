import TMPackByteIO
import TMPackTensorKit

/// How the tensors of a model are those of another that names or fuses them otherwise.
///
/// The names of both are brought to those that the model has in memory, by the rules of every family of `Spec/names.txt`;
/// wrappers (`module.`, `_orig_mod.`, those of FSDP, `base_model.model.`) and one prefix are taken away or added. The family by which the most parameters
/// find a partner is meant; if two do equally well with different partners, none is guessed.
package struct Alignment: Sendable {
  /// Sorted by name: the source's tensors under the target's names, and those that have no partner under their own.
  package let arrangements: [TensorArrangement]
  /// The other way round: the source's tensors out of the aligned ones.
  package let inverse: [TensorArrangement]
  /// Elements of the target that have a partner.
  package let matchedCount: UInt64
  package let renamedCount: Int
  /// Tensors of the target that are parts of others, or made of them.
  package let fusedCount: Int
  /// By which architecture's names, and what stands in front.
  package let summary: String
  let naming: NameTable.Naming?
  /// A tensor whose rows are in another order, which nothing tells.
  let unordered: TensorInfo?
}

extension Alignment {
  /// - Parameters:
  ///   - architectures: `architectures` and `model_type` of the configurations, if there are any: they are tried first.
  ///   - headWidth: rows of one head of attention, as a configuration says.
  /// - Returns: nil where names are the same already, or no rule makes more of them the same.
  /// - Throws: `unsupportedFeature` where rows have another order, and the width of heads is not known.
  package static func find(
    of source: [TensorInfo], to target: [TensorInfo], architectures: [String] = [],
    headWidth: Int? = nil
  ) throws(StorageError) -> Alignment? {
    let found = try candidate(of: source, to: target, architectures, headWidth)
    if let unordered = found?.unordered { throw RowReordering.error(unordered) }
    return found
  }

  private static func candidate(
    of source: [TensorInfo], to target: [TensorInfo], _ architectures: [String],
    _ headWidth: Int?
  ) throws(StorageError) -> Alignment? {
    let direct = directMatch(source, target)
    guard direct.unmatched, !source.isEmpty, !target.isEmpty else { return nil }
    let search = AlignmentSearch(source, target, headWidth: headWidth)
    var best: Alignment?
    var isAmbiguous = false
    for candidate in search.candidates(architectures) {
      guard let found = try search.alignment(candidate), found.matchedCount > direct.count else { continue }
      guard let known = best, found.matchedCount <= known.matchedCount else {
        best = found
        isAmbiguous = false
        continue
      }
      if found.matchedCount == known.matchedCount, found.arrangements != known.arrangements { isAmbiguous = true }
    }
    if isAmbiguous { return nil }
    // By structure only where next to nothing is left over: a part that fits may be another model's.
    guard best.map({ !$0.isWhole(source, target) }) ?? true, let structural = search.structural(),
      let found = try search.alignment(structural), found.matchedCount > max(direct.count, best?.matchedCount ?? 0),
      found.isWhole(source, target)
    else { return best }
    return found
  }

  /// Whether all but one in a hundred of the parameters of either side have a partner.
  private func isWhole(_ source: [TensorInfo], _ target: [TensorInfo]) -> Bool {
    [source, target].allSatisfy { tensors in
      let count = tensors.reduce(0) { $0 + UInt64($1.shape.elementCount) }
      return Double(count) - Double(matchedCount) <= UnmatchedParameters.tolerated * Double(count)
    }
  }

  /// Elements with a partner of their name, and whether tensors of both have none.
  private static func directMatch(_ source: [TensorInfo], _ target: [TensorInfo]) -> (count: UInt64, unmatched: Bool) {
    var count: UInt64 = 0
    var isComplete = true
    for info in target {
      guard let index = source.index(ofTensor: info.name), source[index].isPartner(of: info) else {
        isComplete = false
        continue
      }
      count += UInt64(info.shape.elementCount)
    }
    return (count, !isComplete && source.contains { target.index(ofTensor: $0.name) == nil })
  }
}

extension TensorInfo {
  /// Whether the shapes differ in rows at most, as with a vocabulary that grew.
  func isPartner(of other: TensorInfo) -> Bool {
    let (a, b) = (shape.dimensions, other.shape.dimensions)
    return a == b || (a.count == b.count && !a.isEmpty && a.dropFirst() == b.dropFirst())
  }
}

/// Two lists of tensors, and ways in which the names of one may be those of the other.
struct AlignmentSearch {
  struct Candidate {
    let naming: NameTable.Naming
    let prefix: Prefix
    let score: Int
  }

  enum Prefix: Hashable {
    case none
    case added(String)
    case removed(String)
    /// The target's names, by the source's, as far as they differ.
    case replaced([ExactString: String])

    /// A name of the source's as the target has it, if it has it.
    func apply(_ name: String, _ isThere: (String) -> Bool) -> String {
      switch self {
      case .none: return name
      case .added(let prefix): return isThere(prefix + name) ? prefix + name : name
      case .removed(let prefix):
        guard name.hasPrefix(prefix) else { return name }
        let rest = String(name.dropFirst(prefix.count))
        return isThere(rest) ? rest : name
      case .replaced(let names): return names[ExactString(name)] ?? name
      }
    }
  }

  private let source: [TensorInfo]
  private let target: [TensorInfo]
  private let sourceNames: [String]
  private let targetNames: [String]
  private let sourceTemplates: [String]
  private let targetTemplates: [String]
  private let headWidth: Int?

  init(_ source: [TensorInfo], _ target: [TensorInfo], headWidth: Int?) {
    self.headWidth = headWidth
    self.source = source
    self.target = target
    sourceNames = Self.unwrapped(source.map(\.name))
    targetNames = Self.unwrapped(target.map(\.name))
    sourceTemplates = Self.templates(sourceNames)
    targetTemplates = Self.templates(targetNames)
  }

  /// Names without what training wraps a model in.
  static func unwrapped(_ names: [String]) -> [String] {
    var names = names
    for wrapper in ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."]
    where names.contains(where: { $0.contains(wrapper) }) {
      names = names.map { name in
        var rest = name[...]
        var text = ""
        while let place = rest.utf8Range(of: wrapper) {
          text += rest[..<place.lowerBound]
          rest = rest[place.upperBound...]
        }
        return text + rest
      }
    }
    for wrapper in ["module.", "base_model.model."] {
      while !names.isEmpty, names.allSatisfy({ $0.hasPrefix(wrapper) }) {
        names = names.map { String($0.dropFirst(wrapper.count)) }
      }
    }
    return names
  }

  /// The names that differ in more than numbers, with 0 for each.
  private static func templates(_ names: [String]) -> [String] {
    var seen: Set<ExactString> = []
    var list: [String] = []
    for name in names {
      var bytes: [UInt8] = []
      for byte in name.utf8 {
        if (0x30...0x39).contains(byte) {
          if bytes.last != 0x30 { bytes.append(0x30) }
        } else {
          bytes.append(byte)
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      if seen.insert(ExactString(text)).inserted { list.append(text) }
    }
    return list
  }

  // MARK: Candidates

  /// More are surely not meant.
  private static let mostCandidates = 12

  func candidates(_ architectures: [String]) -> [Candidate] {
    let table = NameTable.shared
    let known = architectures.flatMap { table.namings[$0] ?? [] }
    var seen: Set<String> = []
    var found: [Candidate] = []
    for naming in [NameTable.Naming.plain] + known + table.all where seen.insert(naming.key).inserted {
      let isKnown = known.contains { $0.key == naming.key }
      if let best = candidate(naming, isKnown: isKnown || naming.parts.isEmpty) { found.append(best) }
    }
    let ordered = found.enumerated().sorted {
      ($1.element.score, $0.offset) < ($0.element.score, $1.offset)
    }.map(\.element)
    return Array(ordered.prefix(Self.mostCandidates))
  }

  private func candidate(_ naming: NameTable.Naming, isKnown: Bool) -> Candidate? {
    let own = sourceTemplates.map { naming.role(of: $0).role.name }
    let others = targetTemplates.map { naming.role(of: $0).role.name }
    // A naming that changes no name is the plain one.
    guard isKnown || own != sourceTemplates || others != targetTemplates else { return nil }
    let there = Set(others.map(ExactString.init))
    func isThere(_ name: String) -> Bool { there.contains(ExactString(name)) }
    func score(_ prefix: Prefix) -> Int { own.count { isThere(prefix.apply($0, isThere)) } }
    var best = (prefix: Prefix.none, score: score(.none))
    if best.score < own.count {
      for prefix in prefixes(own.filter { !isThere($0) }, others) {
        let score = score(prefix)
        if score > best.score { best = (prefix, score) }
      }
    }
    return best.score > 0 ? Candidate(naming: naming, prefix: best.prefix, score: best.score) : nil
  }

  /// What would make one or the other of a few names fit.
  private func prefixes(_ strays: [String], _ others: [String]) -> [Prefix] {
    var found: Set<Prefix> = []
    for stray in strays.prefix(4) {
      for other in others where other.hasSuffix("." + stray) {
        found.insert(.added(String(other.dropLast(stray.count))))
      }
      for dot in stray.indices.filter({ stray[$0] == "." }).prefix(3) { found.insert(.removed(String(stray[...dot]))) }
    }
    return found.sorted { "\($0)" < "\($1)" }
  }

  /// Names as they end, where those of the two models differ.
  func structural() -> Candidate? {
    let (own, others) = (Set(sourceNames.map(ExactString.init)), Set(targetNames.map(ExactString.init)))
    let left = zip(sourceNames, source).filter { !others.contains(ExactString($0.0)) }
    let right = zip(targetNames, target).filter { !own.contains(ExactString($0.0)) }
    guard let names = StructuralNames(left.map { ($0, $1) }, right.map { ($0, $1) }) else { return nil }
    return Candidate(naming: .plain, prefix: .replaced(names.names), score: names.names.count)
  }

  // MARK: The whole

  func alignment(_ candidate: Candidate) throws(StorageError) -> Alignment? {
    let naming = candidate.naming
    let targetRoles = targetNames.map { naming.role(of: $0) }
    guard let target = NameRoles(target, targetRoles) else { return nil }
    let names = target.names
    func isThere(_ name: String) -> Bool { names.contains(ExactString(name)) }
    let sourceRoles = sourceNames.map { name in
      let (role, fusion) = naming.role(of: name)
      return (role: role.renamed { candidate.prefix.apply($0, isThere) }, fusion: fusion)
    }
    guard let source = NameRoles(source, sourceRoles) else { return nil }

    var rows = RowReordering(
      target: PairedRows(self.target, targetNames, by: naming),
      source: PairedRows(self.source, sourceNames, by: naming),
      headWidth: headWidth)

    var arrangements: [TensorArrangement] = []
    var used: [ExactString: Int] = [:]
    var matched: UInt64 = 0
    let forth = RoleMatching(target: target, source: source)
    for member in target.members {
      guard let found = try forth.arrangement(of: member) else { continue }
      guard let arrangement = try rows.ordered(found, as: member.info) else { return nil }
      arrangements.append(arrangement)
      for copy in arrangement.copies { used[ExactString(copy.source.name), default: 0] += copy.count * copy.run }
      if arrangement.info.isPartner(of: member.info) { matched += UInt64(member.info.shape.elementCount) }
    }
    var taken = Set(arrangements.map { ExactString($0.info.name) })
    for info in self.source {
      switch used[ExactString(info.name)] {
      case nil:
        // Without a partner it keeps its name, which must not be another's.
        guard taken.insert(ExactString(info.name)).inserted else { return nil }
        arrangements.append(try TensorArrangement(info, named: info.name))
      case info.byteCount: break
      default: return nil
      }
    }
    guard let inverse = Self.inverse(of: arrangements, self.source) else { return nil }
    arrangements.sort { $0.info.name.precedesInBytes($1.info.name) }
    return Alignment(
      arrangements: arrangements, inverse: inverse, matchedCount: matched,
      renamedCount: arrangements.count(where: \.isRenamed),
      fusedCount: arrangements.count { $0.whole == nil && !$0.isReordered },
      summary: summary(candidate)
        + (arrangements.contains(where: \.isReordered) ? ", with the rows of heads in their order" : ""),
      naming: naming, unordered: rows.unordered)
  }

  /// The source's tensors out of those aligned.
  static func inverse(of arrangements: [TensorArrangement], _ source: [TensorInfo]) -> [TensorArrangement]? {
    var copies: [ExactString: [TensorArrangement.Copy]] = [:]
    for arrangement in arrangements {
      for copy in arrangement.copies {
        copies[ExactString(copy.source.name), default: []].append(
          .init(
            source: arrangement.info, count: copy.count, run: copy.run, sourceStart: copy.start,
            sourceStride: copy.stride, start: copy.sourceStart, stride: copy.sourceStride))
      }
    }
    var inverse: [TensorArrangement] = []
    for info in source {
      guard let arrangement = TensorArrangement(info, copies[ExactString(info.name)] ?? []) else { return nil }
      inverse.append(arrangement)
    }
    return inverse
  }

  private func summary(_ candidate: Candidate) -> String {
    var parts: [String] = []
    if !candidate.naming.parts.isEmpty { parts.append("the names of \(candidate.naming.architecture)") }
    switch candidate.prefix {
    case .none: break
    case .added(let prefix): parts.append("\"\(prefix)\" put in front")
    case .removed(let prefix): parts.append("\"\(prefix)\" taken away")
    case .replaced(let names):
      let first = names.min { $0.key.text.precedesInBytes($1.key.text) }
      parts.append("how they end, and by their shapes" + (first.map { ": \($0.key.text) is \($0.value)" } ?? ""))
    }
    return parts.isEmpty ? "wrappers taken away" : parts.joined(separator: " and ")
  }
}

extension NameTable.Naming {
  /// Names as they are.
  static let plain = NameTable.Naming(parts: [], modelPrefix: "", key: "", architecture: "")
}

extension Substring {
  fileprivate func utf8Range(of text: String) -> Range<Index>? {
    let bytes = Array(text.utf8)
    var place = startIndex
    while place < endIndex {
      if utf8[place...].starts(with: bytes) { return place..<utf8.index(place, offsetBy: bytes.count) }
      place = utf8.index(after: place)
    }
    return nil
  }
}
