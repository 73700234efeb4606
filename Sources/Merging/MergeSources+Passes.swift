import TMPackByteIO
import TMPackParallel

extension MergeSources {
  /// Looks at every tensor that is merged, on several threads, and takes in what was seen in the base's order. Of tensors that are tied
  /// only the first counts: files with and without the copies are one model.
  func forEachGroup<Finding: Sendable>(
    _ pipeline: OrderedPipeline,
    look: @escaping @Sendable (TensorGroup) throws(StorageError) -> Finding,
    take: (Finding) throws(StorageError) -> Void
  ) throws(StorageError) {
    let infos = base.tensors.filter { leaders[ExactString($0.name)] == nil }
    try pipeline.run(infos.count) { index throws(StorageError) -> Finding? in
      guard let group = try group(for: infos[index]) else { return nil }
      return try located(tensor: infos[index].name) { () throws(StorageError) in try look(group) }
    } consume: { _, finding throws(StorageError) in
      if let finding { try take(finding) }
    }
  }

  /// How many elements of merged tensors each expert holds.
  func elementCounts() throws(StorageError) -> [Int] {
    var counts = [Int](repeating: 0, count: experts.count)
    for info in base.tensors where leaders[ExactString(info.name)] == nil {
      guard let group = try group(for: info) else { continue }
      for member in group.members { counts[member.index] += group.count }
    }
    return counts
  }

  /// Answers the queries over all merged tensors, in as many passes as it takes.
  ///
  /// - Parameter add: adds a tensor's elements to the tally.
  func find(
    _ statistics: inout OrderStatistics, _ pipeline: OrderedPipeline,
    add: @escaping @Sendable (TensorGroup, inout OrderStatistics.Tally) throws(StorageError) -> Void
  ) throws(StorageError) {
    while !statistics.isComplete {
      let soFar = statistics
      try forEachGroup(pipeline) { group throws(StorageError) in
        var tally = soFar.tally(ofAtMost: group.count)
        try add(group, &tally)
        return tally
      } take: { tally in
        statistics.absorb(tally)
      }
      statistics.finishPass()
    }
  }
}

extension TensorGroup {
  /// Answers the queries over this tensor alone.
  func find(
    _ statistics: inout OrderStatistics, add: (inout OrderStatistics.Tally) throws(StorageError) -> Void
  ) throws(StorageError) {
    while !statistics.isComplete {
      var tally = statistics.tally(ofAtMost: count)
      try add(&tally)
      statistics.absorb(tally)
      statistics.finishPass()
    }
  }
}
