import TMPackByteIO
import TMPackParallel

/// Which elements of a task vector are compared with one another.
enum TrimScope: String, Sendable, CaseIterable {
  case model, tensor
}

/// Keeps of each task vector its largest elements: of d elements the ⌊density · d⌋ of the greatest magnitude, and
/// those of the same magnitude as the last.
///
/// Over the whole model the thresholds are found in `prepared`, in two or three passes over all files, or none at
/// density 1; over one tensor when it is merged.
struct MagnitudeTrim: Sendable {
  let densities: PerExpert<Double>
  let scope: TrimScope
  /// How many elements of a tensor or model stay at least, where any do.
  private let least: Int
  /// The least magnitude that stays, for each expert, where that holds for the whole model.
  private var thresholds: [Double]?

  init(densities: PerExpert<Double>, scope: TrimScope, convention: MergeConvention = .paper) {
    self.densities = densities
    least = convention == .mergekit ? 1 : 0
    self.scope = scope
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> MagnitudeTrim {
    guard scope == .model else { return self }
    let counts = try sources.elementCounts()
    var ranks = Ranks(zip(sources.experts, counts).map { ($1, kept(of: $1, $0.name)) })
    try sources.find(&ranks.statistics, pipeline) { group, tally throws(StorageError) in
      try group.addMagnitudes(to: &tally) { _, member in member.index }
    }
    var prepared = self
    prepared.thresholds = ranks.thresholds
    return prepared
  }

  /// The least magnitude that stays, for each member.
  func thresholds(of group: TensorGroup) throws(StorageError) -> [Double] {
    if scope == .model {
      guard let thresholds else { preconditionFailure("prepared first") }
      return group.members.map { thresholds[$0.index] }
    }
    var ranks = Ranks(group.members.map { (group.count, kept(of: group.count, $0.name)) })
    try group.find(&ranks.statistics) { tally throws(StorageError) in
      try group.addMagnitudes(to: &tally) { position, _ in position }
    }
    return ranks.thresholds
  }

  private func kept(of count: Int, _ expert: String) -> Int {
    let density = densities[expert]
    return density > 0 ? max(least, Int(density * Double(count))) : 0
  }

  /// The queries for thresholds.
  private struct Ranks {
    var statistics: OrderStatistics
    /// A threshold, or the query that finds it.
    private let places: [Place]

    private enum Place {
      case known(Double)
      case query(Int)
    }

    init(_ sequences: [(count: Int, kept: Int)]) {
      var queries: [OrderStatistics.Query] = []
      places = sequences.enumerated().map { index, sequence in
        let kept = sequence.kept
        if kept >= sequence.count { return .known(0) }
        if kept == 0 { return .known(.infinity) }
        queries.append(.init(sequence: index, rank: sequence.count - kept, count: sequence.count))
        return .query(queries.count - 1)
      }
      statistics = OrderStatistics(queries)
    }

    var thresholds: [Double] {
      places.map { place in
        switch place {
        case .known(let threshold): threshold
        case .query(let index): statistics[index]
        }
      }
    }
  }
}

extension TensorGroup {
  /// - Parameter sequence: of the member at a position.
  func addMagnitudes(
    to tally: inout OrderStatistics.Tally, sequence: (_ position: Int, _ member: Member) -> Int
  ) throws(StorageError) {
    try forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      for (position, part) in chunk.members.enumerated() {
        for i in part.indices { part[i] = part[i].magnitude }
        tally.add(UnsafeBufferPointer(part), to: sequence(position, members[position]))
      }
    }
  }
}

extension TensorGroup.Chunk {
  /// Sets to zero what is smaller than the member's threshold.
  func trim(below thresholds: [Double]) {
    for (part, threshold) in zip(members, thresholds) where threshold > 0 { part.trim(below: threshold) }
  }
}
