import TMPackByteIO

/// The classes of the nearest among labelled examples, counted.
///
/// Distances are Euclidean, of numbers that were shifted and scaled one by one. Source: TMP-11-7.
package struct NeighbourRouter: Sendable {
  package let dimension: Int
  package let classCount: Int
  /// How many examples vote.
  package let count: Int
  package let centers: [Float]
  package let scales: [Float]
  package let labels: [UInt16]
  /// [dimension, examples]: transposed, so that many distances go on together.
  private let columns: [Float]
  /// Distances that are summed up together.
  private static let block = 1024

  /// - Parameter vectors: [examples, dimension], row-major, shifted and scaled already.
  /// - Throws: `shapeMismatch`; `nonFinite`; `malformed` for a label without a class.
  package init(
    classCount: Int, count: Int, centers: [Float], scales: [Float], labels: [UInt16], vectors: [Float]
  ) throws(StorageError) {
    let dimension = centers.count
    guard scales.count == dimension, vectors.count == labels.count * dimension, count >= 1, count <= labels.count else {
      throw StorageError(.shapeMismatch, "the router's examples do not fit its dimension")
    }
    guard [centers, scales, vectors].allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
      throw StorageError(.nonFinite, "a number of the router's examples is not finite")
    }
    guard labels.allSatisfy({ $0 < classCount }) else {
      throw StorageError(.malformed, "an example of the router has a label without a class")
    }
    self.dimension = dimension
    self.classCount = classCount
    self.count = count
    self.centers = centers
    self.scales = scales
    self.labels = labels
    columns = vectors.transposed(rows: labels.count, columns: dimension)
  }

  package var exampleCount: Int { labels.count }

  /// [examples, dimension], row-major.
  package var vectors: [Float] { columns.transposed(rows: dimension, columns: labels.count) }

  package func logits(of input: ArraySlice<Float>) -> [Double] {
    var point: [Double] = []
    for (i, x) in input.enumerated() { point.append((Double(x) - Double(centers[i])) * Double(scales[i])) }
    var votes = [Int](repeating: 0, count: classCount)
    for example in nearest(to: distances(to: point)) { votes[Int(labels[example])] += 1 }
    let total = Double(count) + Double(classCount) / 2
    return votes.map { Logarithm.natural((Double($0) + 0.5) / total) }
  }

  /// Squared, in binary64, summed in the order of the dimensions.
  private func distances(to point: [Double]) -> [Double] {
    let examples = labels.count
    return [Double](unsafeUninitializedCapacity: examples) { sums, count in
      sums.initialize(repeating: 0)
      columns.withUnsafeBufferPointer { columns in
        for start in stride(from: 0, to: examples, by: Self.block) {
          let end = min(start + Self.block, examples)
          for (k, x) in point.enumerated() {
            let column = columns.baseAddress! + k * examples
            for example in start..<end {
              let difference = x - Double(column[example])
              sums[example] += difference * difference
            }
          }
        }
      }
      count = examples
    }
  }

  /// The `count` examples of the least distances; of equal ones the earlier. O(examples · log count).
  private func nearest(to distances: [Double]) -> [Int] {
    // A heap whose root is the farthest of those kept.
    var heap: [Int] = []
    heap.reserveCapacity(count)
    func isFarther(_ a: Int, _ b: Int) -> Bool { (distances[a], a) > (distances[b], b) }
    func sink(_ start: Int) {
      var parent = start
      while true {
        var farthest = parent
        for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
          if isFarther(heap[child], heap[farthest]) { farthest = child }
        }
        if farthest == parent { return }
        heap.swapAt(parent, farthest)
        parent = farthest
      }
    }
    for example in distances.indices {
      if heap.count < count {
        heap.append(example)
        if heap.count == count { for parent in stride(from: count / 2, through: 0, by: -1) { sink(parent) } }
      } else if isFarther(heap[0], example) {
        heap[0] = example
        sink(0)
      }
    }
    return heap
  }
}
