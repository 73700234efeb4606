import TMPackMerging
import TestSupport
import Testing

@Suite struct OrderStatisticsTests {
  /// More numbers than are ever kept, and few.
  @Test(arguments: [1, 2, 1000, 200_000]) func findsWhatSortingFinds(_ count: Int) {
    let sequences = [
      noise(count, seed: 7), noise(count, seed: 8).map { $0 < 0 ? -0.0 : 0x1p-1074 * Double(Int($0 * 3)) },
      noise(count, seed: 9).map { $0 < 0.5 ? 1 : 1 + $0 * 0x1p-40 }, [Double](repeating: -2.5, count: count),
    ]
    let ranks = Set([0, count / 3, count / 2, count - 1]).sorted()
    var search = OrderStatistics(
      sequences.indices.flatMap { sequence in ranks.map { .init(sequence: sequence, rank: $0, count: count) } })
    var passes = 0
    while !search.isComplete {
      passes += 1
      // Two tallies of different kinds, if there are many numbers.
      var parts = [search.tally(ofAtMost: count / 100 + 1), search.tally(ofAtMost: count)]
      for (index, sequence) in sequences.enumerated() {
        sequence.withUnsafeBufferPointer { all in
          parts[0].add(UnsafeBufferPointer(rebasing: all[..<(count / 100)]), to: index)
          parts[1].add(UnsafeBufferPointer(rebasing: all[(count / 100)...]), to: index)
        }
      }
      for part in parts.reversed() { search.absorb(part) }
      search.finishPass()
    }
    #expect(passes <= 5)
    for (index, sequence) in sequences.enumerated() {
      let sorted = sequence.sorted()
      for (place, rank) in ranks.enumerated() {
        #expect(search[index * ranks.count + place] == sorted[rank], "sequence \(index), rank \(rank)")
      }
    }
  }
}
