/// Ranks numbers by magnitude, exactly, with a radix sort of their bits: O(n).
///
/// Memory: 32 bytes for each number of the longest row, which is kept for the next.
struct MagnitudeRanking {
  private static let digitBits: UInt64 = 11
  private static let digits = 6
  private var keys: [UInt64] = []
  private var order: [Int] = []
  private var otherKeys: [UInt64] = []
  private var otherOrder: [Int] = []

  /// Positions in `row` by ascending magnitude; of equal ones, the first comes first. None may be NaN.
  package mutating func ascending(_ row: UnsafeBufferPointer<Double>) -> [Int] {
    keys = row.map(\.magnitude.bitPattern)
    order = Array(row.indices)
    if otherKeys.count != row.count {
      otherKeys = keys
      otherOrder = order
    }
    let buckets = 1 << Int(Self.digitBits)
    for digit in 0..<Self.digits {
      let shift = UInt64(digit) * Self.digitBits
      var starts = [Int](repeating: 0, count: buckets)
      let mask = UInt64(buckets - 1)
      for key in keys { starts[Int(truncatingIfNeeded: key &>> shift & mask)] += 1 }
      if starts.contains(row.count) { continue }
      var next = 0
      for bucket in starts.indices { (starts[bucket], next) = (next, next + starts[bucket]) }
      for i in keys.indices {
        let bucket = Int(truncatingIfNeeded: keys[i] &>> shift & mask)
        otherKeys[starts[bucket]] = keys[i]
        otherOrder[starts[bucket]] = order[i]
        starts[bucket] += 1
      }
      swap(&keys, &otherKeys)
      swap(&order, &otherOrder)
    }
    return order
  }
}
