/// Positions, ascending, of the `count` elements of `values` that are largest in magnitude; of equal ones, the first.
///
/// Zeros are never among them, so there may be fewer.
///
/// Magnitudes compare as their bits do. A histogram of the upper half of the bits finds the bucket of the smallest one
/// to keep, and a histogram of the lower half within it finds that magnitude.
/// - Precondition: all values are finite.
/// - Complexity: O(n), three passes; holds the result and half a mebibyte.
package func largestMagnitudes(_ count: Int, of values: UnsafeBufferPointer<Float>) -> [Int] {
  guard count > 0 else { return [] }
  var upper = [Int](repeating: 0, count: 1 << 16)
  for value in values { upper[Int(value.magnitude.bitPattern >> 15)] += 1 }
  // Zeros are in the lowest bucket with the smallest subnormals.
  let (bucket, above) = place(of: count, in: upper)
  var lower = [Int](repeating: 0, count: 1 << 15)
  for value in values where value.magnitude.bitPattern >> 15 == UInt32(bucket) {
    lower[Int(value.magnitude.bitPattern & 0x7FFF)] += 1
  }
  let (rest, aboveRest) = place(of: count - above, in: lower)
  let threshold = UInt32(bucket) << 15 | UInt32(rest)
  var equalsLeft = threshold == 0 ? 0 : count - above - aboveRest

  var positions: [Int] = []
  positions.reserveCapacity(min(count, values.count))
  for i in 0..<values.count {
    let magnitude = values[i].magnitude.bitPattern
    if magnitude > threshold {
      positions.append(i)
    } else if magnitude == threshold, equalsLeft > 0 {
      positions.append(i)
      equalsLeft -= 1
    }
  }
  return positions
}

/// The bucket that holds the `count`th element from above, and how many elements the buckets above it hold; bucket 0
/// when there are not as many.
private func place(of count: Int, in histogram: [Int]) -> (bucket: Int, above: Int) {
  var above = 0
  for bucket in histogram.indices.reversed() {
    if above + histogram[bucket] >= count { return (bucket, above) }
    above += histogram[bucket]
  }
  return (0, above - histogram[0])
}
