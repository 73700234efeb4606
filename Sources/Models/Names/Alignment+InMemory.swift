import TMPackByteIO
import TMPackTensorKit

extension Alignment {
  /// The names, and the fusing, that a model of known tensors has in memory.
  ///
  /// - Returns: nil for a naming that is not theirs, or that leaves parts of a stack missing.
  static func inMemory(
    _ tensors: [TensorInfo], by naming: NameTable.Naming, headWidth: Int? = nil
  ) throws(StorageError) -> Alignment? {
    let names = AlignmentSearch.unwrapped(tensors.map(\.name))
    guard let roles = NameRoles(tensors, names.map { naming.role(of: $0) }),
      let target = try roles.memoryTensors(), let own = NameRoles(target, target.map { (.whole($0.name), nil) })
    else { return nil }
    let matching = RoleMatching(target: own, source: roles)
    var rows = RowReordering(
      target: PairedRows([], [], by: naming), source: PairedRows(tensors, names, by: naming), headWidth: headWidth)
    var arrangements: [TensorArrangement] = []
    for member in own.members {
      guard let found = try matching.arrangement(of: member),
        let arrangement = try rows.ordered(found, as: member.info)
      else { return nil }
      arrangements.append(arrangement)
    }
    return Alignment(arrangements, of: tensors, naming, unordered: rows.unordered)
  }

  /// nil where not every byte of the tensors is in the arrangements.
  init?(
    _ arrangements: [TensorArrangement], of tensors: [TensorInfo], _ naming: NameTable.Naming,
    unordered: TensorInfo? = nil
  ) {
    guard let inverse = AlignmentSearch.inverse(of: arrangements, tensors) else { return nil }
    self.arrangements = arrangements
    self.inverse = inverse
    self.naming = naming
    matchedCount = arrangements.reduce(0) { $0 + UInt64($1.info.shape.elementCount) }
    self.unordered = unordered
    renamedCount = arrangements.count(where: \.isRenamed)
    fusedCount = arrangements.count { $0.whole == nil && !$0.isReordered }
    summary = "the names of \(naming.architecture)"
  }
}

extension NameRoles {
  /// What the tensors are in memory, sorted by name; nil where a stack has gaps or parts of other sizes.
  fileprivate func memoryTensors() throws(StorageError) -> [TensorInfo]? {
    var infos: [TensorInfo] = []
    for (name, info) in wholes { infos.append(try TensorInfo(name: name.text, dtype: info.dtype, shape: info.shape)) }
    for (name, pieces) in pieces {
      guard let fusion = fusions[name], let info = try Self.fused(name.text, pieces, fusion) else { return nil }
      infos.append(info)
    }
    for member in members {
      guard case .joined(let names) = member.role, let axis = member.fusion?.axis else { continue }
      var dimensions = member.info.shape.dimensions
      guard dimensions.indices.contains(axis), dimensions[axis].isMultiple(of: names.count) else { return nil }
      dimensions[axis] /= names.count
      for name in names {
        infos.append(try TensorInfo(name: name, dtype: member.info.dtype, shape: Shape(dimensions)))
      }
    }
    let sorted = infos.sortedByName()
    for (a, b) in zip(sorted, sorted.dropFirst()) where a.name.hasSameBytes(as: b.name) { return nil }
    return sorted
  }

  private static func fused(
    _ name: String, _ pieces: [Piece: TensorInfo], _ fusion: NameTable.Fusion
  ) throws(StorageError) -> TensorInfo? {
    let parts = fusion.sources.count
    let isStack = fusion.kind == .stack
    let height = pieces.count / parts
    guard pieces.count == height * parts, isStack || height == 1 else { return nil }
    var dimensions: [Int] = []
    for part in 0..<parts {
      guard let first = pieces[Piece(part: part, number: isStack ? 0 : nil)], first.shape.dimensions.count > fusion.axis
      else { return nil }
      if part == 0 {
        dimensions = first.shape.dimensions
      } else {
        dimensions[fusion.axis] += first.shape.dimensions[fusion.axis]
      }
    }
    let dtype = pieces.first!.value.dtype
    return try TensorInfo(name: name, dtype: dtype, shape: Shape(isStack ? [height] + dimensions : dimensions))
  }
}

extension TensorSource {
  /// The model as `transformers` has it in memory, where that makes more of some names its own; nil where nothing does, or where
  /// families that do so equally well mean other tensors.
  ///
  /// - Parameters:
  ///   - names: of tensors, as an adapter has them; whatever stands in front of them in the model, or the model's names lack.
  ///   - architectures: as of `Alignment.find`; so is `headWidth`.
  /// - Throws: `unsupportedFeature` where rows have another order, and the width of heads is not known.
  package func inMemory(
    having names: [String], architectures: [String] = [], headWidth: Int? = nil
  ) throws(StorageError) -> Alignment? {
    var best = (count: Self.count(names, in: tensors), alignment: Alignment?.none)
    guard best.count.all < names.count else { return nil }
    let table = NameTable.shared
    var seen: Set<String> = []
    var isAmbiguous = false
    for naming in architectures.flatMap({ table.namings[$0] ?? [] }) + table.all where seen.insert(naming.key).inserted
    {
      guard let alignment = try Alignment.inMemory(tensors, by: naming, headWidth: headWidth) else { continue }
      let found = Self.count(names, in: alignment.arrangements.map(\.info))
      if found > best.count {
        best = (found, alignment)
        isAmbiguous = false
      } else if found == best.count, let known = best.alignment, !known.agrees(with: alignment, on: names) {
        isAmbiguous = true
      }
      // The configuration says which it is.
      if best.count.direct == names.count,
        architectures.contains(where: { table.namings[$0]?.contains { $0.key == naming.key } == true })
      {
        break
      }
    }
    guard let alignment = best.alignment, !isAmbiguous else { return nil }
    if let unordered = alignment.unordered { throw RowReordering.error(unordered) }
    return alignment
  }

  /// How the model is in memory, by its architecture; nil where that is as it is here, or not known.
  ///
  /// - Parameter architectures: as of `Alignment.find`; so is `headWidth`.
  func inMemory(by architectures: [String], headWidth: Int?) throws(StorageError) -> Alignment? {
    let naming = architectures.lazy.compactMap { NameTable.shared.namings[$0]?.first }.first
    guard let naming, !naming.parts.isEmpty,
      let found = try Alignment.inMemory(tensors, by: naming, headWidth: headWidth), found.unordered == nil
    else { return nil }
    return found
  }

  /// The model under the names, and with the fusing, that it has in memory.
  ///
  /// - Parameter architectures: class and type of the model.
  /// - Throws: `unsupportedFeature` for an architecture that the table does not know, or tensors that are not of it.
  package func inMemory(of architectures: [String]) throws(StorageError) -> any TensorSource {
    guard let naming = architectures.lazy.compactMap({ NameTable.shared.namings[$0]?.first }).first else {
      throw StorageError(.unsupportedFeature, "is of no architecture whose names are known", file: label)
    }
    guard let alignment = try Alignment.inMemory(tensors, by: naming) else {
      throw StorageError(
        .unsupportedFeature,
        "has not the tensors of \(naming.architecture): a matrix of a stack is missing, or of another shape",
        file: label)
    }
    return AlignedSource(self, alignment.arrangements)
  }

  /// How many names are tensors', whatever stands in front of them, and how many as they are.
  private static func count(_ names: [String], in tensors: [TensorInfo]) -> (all: Int, direct: Int) {
    let there = Set(tensors.map { ExactString($0.name) })
    let direct = names.count { there.contains(ExactString($0)) }
    guard let stray = names.first(where: { !there.contains(ExactString($0)) }) else { return (direct, direct) }
    // A prefix that one of both has.
    var all = direct
    for info in tensors where info.name.hasSuffix("." + stray) {
      let prefix = info.name.dropLast(stray.count)
      all = max(all, names.count { there.contains(ExactString(prefix + $0)) || there.contains(ExactString($0)) })
    }
    for dot in stray.indices where stray[dot] == "." {
      let prefix = stray[...dot]
      all = max(
        all,
        names.count {
          there.contains(ExactString($0))
            || $0.hasPrefix(prefix) && there.contains(ExactString(String($0.dropFirst(prefix.count))))
        })
    }
    return (all, direct)
  }
}

extension Alignment {
  /// Whether names that both know are of the same tensors.
  fileprivate func agrees(with other: Alignment, on names: [String]) -> Bool {
    func copies(_ alignment: Alignment, _ name: String) -> [TensorArrangement.Copy]? {
      let arrangements = alignment.arrangements
      let index = arrangements.partitioningIndex { !$0.info.name.precedesInBytes(name) }
      return index < arrangements.count && arrangements[index].info.name.hasSameBytes(as: name)
        ? arrangements[index].copies : nil
    }
    return names.allSatisfy { copies(self, $0) == copies(other, $0) }
  }
}
