import TMPackByteIO
import TMPackTensorKit

/// The tensors of a model by what they are in memory.
struct NameRoles: Sendable {
  typealias Role = NameTable.Naming.Role

  struct Piece: Hashable, Sendable {
    let part: Int
    let number: Int?
  }

  struct Member: Sendable {
    let info: TensorInfo
    let role: Role
    let fusion: NameTable.Fusion?
  }

  private(set) var members: [Member] = []
  private(set) var wholes: [ExactString: TensorInfo] = [:]
  private(set) var pieces: [ExactString: [Piece: TensorInfo]] = [:]
  private(set) var fusions: [ExactString: NameTable.Fusion] = [:]
  /// By each of the names that a tensor is joined of.
  private(set) var joined: [ExactString: (info: TensorInfo, names: [String], part: Int, axis: Int)] = [:]

  /// - Returns: nil where two tensors have one role: it is no naming of theirs.
  init?(_ tensors: [TensorInfo], _ roles: [(role: Role, fusion: NameTable.Fusion?)]) {
    for (info, (role, fusion)) in zip(tensors, roles) {
      members.append(Member(info: info, role: role, fusion: fusion))
      switch role {
      case .whole(let name):
        guard wholes.updateValue(info, forKey: ExactString(name)) == nil else { return nil }
      case .piece(let name, let part, let number):
        let key = ExactString(name)
        guard pieces[key, default: [:]].updateValue(info, forKey: Piece(part: part, number: number)) == nil else {
          return nil
        }
        fusions[key] = fusion
      case .joined(let names):
        for (part, name) in names.enumerated() {
          let entry = (info, names, part, fusion?.axis ?? 0)
          guard joined.updateValue(entry, forKey: ExactString(name)) == nil else { return nil }
        }
      }
    }
  }

  /// All names in memory that tensors have or have parts of.
  var names: Set<ExactString> {
    Set(wholes.keys).union(pieces.keys).union(joined.keys)
  }
}

extension NameTable.Naming.Role {
  /// With other names in memory.
  func renamed(_ change: (String) -> String) -> Self {
    switch self {
    case .whole(let name): .whole(change(name))
    case .piece(let name, let part, let number): .piece(of: change(name), part: part, number: number)
    case .joined(let names): .joined(names.map(change))
    }
  }

  /// In memory; the first, if there are several.
  var name: String {
    switch self {
    case .whole(let name), .piece(let name, _, _): name
    case .joined(let names): names[0]
    }
  }
}

/// Finds a model's tensors among another's that have the same roles.
struct RoleMatching {
  let target: NameRoles
  let source: NameRoles

  /// What the target's tensor is made of; nil where the source lacks it or a part of it.
  func arrangement(of member: NameRoles.Member) throws(StorageError) -> TensorArrangement? {
    let info = member.info
    switch member.role {
    case .whole(let name):
      let key = ExactString(name)
      if let own = source.wholes[key] { return try TensorArrangement(own, named: info.name) }
      if let pieces = source.pieces[key], let fusion = source.fusions[key] {
        return try assembled(info, pieces, fusion)
      }
      guard let (host, names, part, axis) = source.joined[key] else { return nil }
      return sliced(info, of: host, axis: axis, number: nil, sizes: sizes(names, axis, in: target, host), part)
    case .piece(let name, let part, let number):
      let key = ExactString(name)
      if let own = source.pieces[key]?[.init(part: part, number: number)] {
        return try TensorArrangement(own, named: info.name)
      }
      guard let host = source.wholes[key], let fusion = member.fusion else { return nil }
      let sizes = fusion.sources.indices.map { other in
        target.pieces[key]?[.init(part: other, number: number)]?.shape.dimensions.at(fusion.axis)
      }
      return sliced(info, of: host, axis: fusion.axis, number: number, sizes: sizes, part)
    case .joined(let names):
      if let own = source.joined[ExactString(names[0])], own.names == names {
        return try TensorArrangement(own.info, named: info.name)
      }
      let parts = names.map { source.wholes[ExactString($0)] }
      return try assembled(info, parts, axis: member.fusion?.axis ?? 0)
    }
  }

  private func sliced(
    _ info: TensorInfo, of host: TensorInfo, axis: Int, number: Int?, sizes: [Int?], _ part: Int
  ) -> TensorArrangement? {
    let total = host.shape.dimensions.at(axis + (number == nil ? 0 : 1))
    guard !sizes.contains(nil), sizes.reduce(0, { $0 + $1! }) == total,
      number == nil || host.shape.dimensions[0] == stackHeight(info, host, number!)
    else { return nil }
    let before = sizes[..<part].reduce(0) { $0 + $1! }
    // In the dtype of the source.
    guard let own = try? TensorInfo(name: info.name, dtype: host.dtype, shape: info.shape),
      let place = TensorPart(of: own, in: host, axis: axis, before: before, number: number)
    else { return nil }
    return TensorArrangement(own, [place.slice(of: host)])
  }

  /// The stack has as many matrices as the target has numbers.
  private func stackHeight(_ info: TensorInfo, _ host: TensorInfo, _ number: Int) -> Int {
    let height = host.shape.dimensions[0]
    return number < height ? height : -1
  }

  private func sizes(_ names: [String], _ axis: Int, in roles: NameRoles, _ host: TensorInfo) -> [Int?] {
    names.map { roles.wholes[ExactString($0)]?.shape.dimensions.at(axis) }
  }

  private func assembled(
    _ info: TensorInfo, _ pieces: [NameRoles.Piece: TensorInfo], _ fusion: NameTable.Fusion
  ) throws(StorageError) -> TensorArrangement? {
    let parts = fusion.sources.count
    if fusion.kind == .join {
      return try assembled(info, (0..<parts).map { pieces[.init(part: $0, number: nil)] }, axis: fusion.axis)
    }
    guard let height = info.shape.dimensions.first, pieces.count == height * parts,
      let first = pieces[.init(part: 0, number: 0)]
    else { return nil }
    let own = try TensorInfo(name: info.name, dtype: first.dtype, shape: info.shape)
    var copies: [TensorArrangement.Copy] = []
    for number in 0..<height {
      var before = 0
      for part in 0..<parts {
        guard let piece = pieces[.init(part: part, number: number)],
          let place = TensorPart(of: piece, in: own, axis: fusion.axis, before: before, number: number)
        else { return nil }
        copies.append(place.placed(piece))
        before += piece.shape.dimensions[fusion.axis]
      }
    }
    return TensorArrangement(own, copies)
  }

  private func assembled(
    _ info: TensorInfo, _ parts: [TensorInfo?], axis: Int
  ) throws(StorageError) -> TensorArrangement? {
    guard let first = parts.first ?? nil else { return nil }
    let own = try TensorInfo(name: info.name, dtype: first.dtype, shape: info.shape)
    var copies: [TensorArrangement.Copy] = []
    var before = 0
    for part in parts {
      guard let part, let place = TensorPart(of: part, in: own, axis: axis, before: before, number: nil) else {
        return nil
      }
      copies.append(place.placed(part))
      before += part.shape.dimensions[axis]
    }
    return TensorArrangement(own, copies)
  }
}

extension [Int] {
  fileprivate func at(_ index: Int) -> Int? { indices.contains(index) ? self[index] : nil }
}
