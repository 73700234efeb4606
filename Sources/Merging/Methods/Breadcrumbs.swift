import TMPackArchiveFormat
import TMPackByteIO

/// Model Breadcrumbs: of each tensor of a task vector the largest changes, the outliers, are left out, and so are the
/// smallest (Davari and Belilovsky, 2023, arXiv 2312.06795); θ₀ + λ times the sum of the rest, or their disjoint merge.
///
/// Of n elements, ordered by magnitude, the ⌊gamma · n⌋ largest are left out, and the ⌊density · n⌋ next stay; where there
/// are not as many, fewer large ones are left out. Elements as large as the largest or the smallest that stays stay too.
/// A tensor without dimensions stays as it is, as in the authors' code; by mergekit's convention it is as any of one element.
struct Breadcrumbs: MergingMethod {
  private static let paper = "Davari and Belilovsky 2023, arXiv 2312.06795"
  private static let settings: [MergeSetting] = [
    .lambda(default: 0.2), .weight, .density(default: 0.15, "share of a tensor's elements that stay"),
    MergeSetting(
      "gamma", MergeSetting.fraction, default: "0.006", perExpert: true,
      "share of a tensor's elements, the largest, that are left out"),
    .normalize(default: false), .rescaleToLength, .convention,
  ]

  package static let kind = MergingMethodKind(
    "breadcrumbs", "Leaves out the largest and the smallest changes of a tensor, adds up.", paper: paper,
    settings: settings
  ) { settings throws(StorageError) in Breadcrumbs(settings, election: nil) }

  static let tiesKind = MergingMethodKind(
    "breadcrumbs-ties", "Leaves out the largest and the smallest changes of a tensor, elects signs as TIES does.",
    paper: paper, settings: settings + [.sign]
  ) { settings throws(StorageError) in Breadcrumbs(settings, election: settings.value("sign")) }

  private let densities: PerExpert<Double>
  private let outliers: PerExpert<Double>
  private let rescales: Bool
  private let keepsScalars: Bool
  private let fusion: Fusion
  package let record: SharedMethod

  private init(_ settings: MergeSettings, election: SignElection?) {
    densities = settings.numbers("density")
    outliers = settings.numbers("gamma")
    rescales = settings.flag("rescale")
    keepsScalars = settings.convention == .paper
    fusion = Fusion(settings, election: election)
    record = settings.record
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = fusion.weights(of: group)
    let bounds = try bounds(of: group)
    let ratios = rescales ? try group.lengthRatios { $0.keep(bounds) } : []
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      chunk.keep(bounds)
      chunk.scale(ratios)
      fusion.setResult(of: chunk, weights)
      try merged.writeResult(of: chunk)
    }
  }

  /// The magnitudes that stay, for each member; nil for none.
  private func bounds(of group: TensorGroup) throws(StorageError) -> [ClosedRange<Double>?] {
    let count = group.count
    if keepsScalars, group.info.shape.dimensions.isEmpty { return group.members.map { _ in 0...(.infinity) } }
    let kept = group.members.map { Int(densities[$0.name] * Double(count)) }
    let above = zip(group.members, kept).map { min(Int(outliers[$0.name] * Double(count)), count - $1) }
    var statistics = OrderStatistics(
      kept.indices.filter { kept[$0] > 0 }.flatMap { index in
        [count - above[index] - kept[index], count - 1 - above[index]].map {
          OrderStatistics.Query(sequence: index, rank: $0, count: count)
        }
      })
    try group.find(&statistics) { tally throws(StorageError) in
      try group.addMagnitudes(to: &tally) { position, _ in position }
    }
    var query = 0
    return kept.map { kept in
      guard kept > 0 else { return nil }
      defer { query += 2 }
      return statistics[query]...statistics[query + 1]
    }
  }
}

extension TensorGroup.Chunk {
  /// Sets to zero what is not within the member's bounds; everything where it has none.
  fileprivate func keep(_ bounds: [ClosedRange<Double>?]) {
    for (part, bounds) in zip(members, bounds) {
      guard let bounds else {
        part.update(repeating: 0)
        continue
      }
      for i in part.indices where !bounds.contains(part[i].magnitude) { part[i] = 0 }
    }
  }
}
