import TMPackJournal

extension TaskList {
  /// The jobs of a share, in the order of doing them: files, then tensors by name.
  ///
  /// Deterministic for any number of shares. All jobs of a tensor's name go to one share, since each needs the shared
  /// tensor, unless they are more than a fair share of the work, and a quarter: then each goes by itself. The dearest go first, each to the
  /// share that has the least so far, the first of equals.
  package func jobs(of share: TaskShare) -> [PackJob] {
    let places = places(amongst: share.count)
    return allJobs.enumerated().filter { places[$0.offset] == share.index }.map(\.element)
  }

  /// Of each job the index of its share.
  private func places(amongst count: Int) -> [Int] {
    var items: [(cost: UInt64, jobs: Range<Int>)] = []
    let fair = allJobs.reduce(0) { $0 + $1.cost } / UInt64(count)
    for range in groups {
      let cost = allJobs[range].reduce(0) { $0 + $1.cost }
      // Apart they are dearer, since each makes the shared tensor: a little too much is better than that.
      if cost > fair + fair / 4 {
        let first = allJobs[range.lowerBound]
        // Merging the shared tensor is about half of what becoming part of the archive takes it.
        let merging = first.key.kind == .shared ? first.cost / 2 : 0
        items += range.map { (allJobs[$0].cost + (allJobs[$0].key.kind == .shared ? 0 : merging), $0..<$0 + 1) }
      } else {
        items.append((cost, range))
      }
    }
    var loads = SmallestFirst(count)
    var places = [Int](repeating: 1, count: allJobs.count)
    for item in items.sorted(by: { ($1.cost, $0.jobs.lowerBound) < ($0.cost, $1.jobs.lowerBound) }) {
      let share = loads.addToSmallest(item.cost)
      for job in item.jobs { places[job] = share + 1 }
    }
    return places
  }
}

/// The loads of shares; finds the smallest, the first of equals, in O(log n).
private struct SmallestFirst {
  /// A heap.
  private var loads: [(load: UInt64, share: Int)]

  init(_ count: Int) { loads = (0..<count).map { (0, $0) } }

  /// - Returns: the share that was the smallest.
  mutating func addToSmallest(_ cost: UInt64) -> Int {
    let share = loads[0].share
    loads[0].load += cost
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < loads.count && loads[child] < loads[least] {
        least = child
      }
      if least == parent { return share }
      loads.swapAt(parent, least)
      parent = least
    }
  }
}
