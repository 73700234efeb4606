import TMPackArchiveFormat
import TMPackByteIO
import TMPackTensorKit

/// How a tensor of a mix comes about.
package enum TensorOrigin: Sendable, Hashable {
  /// The shared model's, bit for bit.
  case shared
  /// One expert's own.
  case own
  /// The shared model's and what experts add to it.
  case sum
}

extension Mix {
  /// - Parameter info: one of `tensors`.
  package func origin(of info: TensorInfo) -> TensorOrigin {
    recipe(of: info).map(origin) ?? .shared
  }

  private func origin(_ recipe: Recipe) -> TensorOrigin {
    switch recipe {
    case .shared: .shared
    case .exact, .corrected: .own
    case .sum: .sum
    case .extended(let common, _, _, _): origin(common) == .own ? .own : .sum
    }
  }

  /// The bytes of the archive that are read for a tensor; none of a base elsewhere.
  ///
  /// - Parameter info: one of `tensors`.
  package func extents(of info: TensorInfo) throws(StorageError) -> Set<Extent> {
    try recipe(of: info).map { recipe throws(StorageError) in try extents(recipe) } ?? []
  }

  private func extents(_ recipe: Recipe) throws(StorageError) -> Set<Extent> {
    switch recipe {
    case .extended(let common, let expert, let entry, _):
      let section = try reconstructor.archive.file.expertSection(expert.position)
      return try extents(common).union(entry.extra.map { section.extents(of: $0) } ?? [])
    case .shared(let base): return sharedExtents(base)
    case .exact(let expert, let entry, _):
      var extents = try ownExtents(entry, expert)
      if entry.factor.kind == .difference, let base = reconstructor.shared.manifest.entry(named: entry.name) {
        extents.formUnion(sharedExtents(base))
      }
      return extents
    case .corrected(let base, let expert, let entry):
      var extents = try ownExtents(entry, expert).union(sharedExtents(base))
      let section = try reconstructor.archive.file.expertSection(expert.position)
      if let correction = entry.correction { extents.formUnion(section.extents(of: correction)) }
      return extents
    case .sum(let base, let addends):
      var extents = sharedExtents(base)
      for (expert, entry) in addends { extents.formUnion(try ownExtents(entry, expert)) }
      return extents
    }
  }

  private func sharedExtents(_ base: SharedEntry) -> Set<Extent> {
    guard case .embedded(let payload) = base.content else { return [] }
    return reconstructor.shared.section.extents(of: payload)
  }

  private func ownExtents(_ entry: ExpertEntry, _ expert: WeightedExpert) throws(StorageError) -> Set<Extent> {
    let section = try reconstructor.archive.file.expertSection(expert.position)
    return entry.factor.payloads.reduce(into: []) { $0.formUnion(section.extents(of: $1)) }
  }
}

extension Section {
  fileprivate func extents(of payload: PayloadReference) -> Set<Extent> {
    Set(frames[payload.first..<payload.first + payload.count].map(\.extent))
  }
}
