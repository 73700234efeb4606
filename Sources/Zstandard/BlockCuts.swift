/// Where blocks should end: each has codes of its own, which pay where the statistics change, and cost a table.
///
/// Of all ways to cut at some of the candidates the cheapest, by an estimate from the order-0 entropies of the blocks. Where there are
/// many candidates, those are struck out before that seem to matter least.
package struct BlockCuts {
  /// Parts are at least so long, so that their number is bounded.
  private static let shortestPart = 256
  /// So many are enough for the best way: more made no difference that could be measured.
  private static let mostParts = 24
  /// So much of the beginning of a part speaks for all of it.
  private static let sampleSize = 16 << 10

  /// Where to cut: some of the candidates, increasing.
  package let places: [Int]
  /// Bits that all blocks take, about.
  package let bits: Float

  /// - Parameter candidates: increasing places in `raw`, ends included or not.
  /// - Complexity: O(p²) for p candidates, and 1 KiB for each.
  package init(_ candidates: [Int], in raw: UnsafeRawBufferPointer) {
    var parts: [Part] = []
    var start = 0
    for end in candidates where end - start >= Self.shortestPart && raw.count - end >= Self.shortestPart {
      parts.append(Part(raw, start..<end))
      start = end
    }
    parts.append(Part(raw, start..<raw.count))
    Self.join(&parts, downTo: Self.mostParts)
    (places, bits) = Self.best(parts)
  }

  /// Puts neighbours together until so many parts are left, those first that gain most or lose least by it.
  private static func join(_ parts: inout [Part], downTo count: Int) {
    guard parts.count > count else { return }
    var gains = zip(parts, parts.dropFirst()).map(gain)
    while parts.count > count, let best = gains.indices.max(by: { gains[$0] < gains[$1] }) {
      parts[best] = Part(parts[best], parts[best + 1])
      parts.remove(at: best + 1)
      gains.remove(at: best)
      if best > 0 { gains[best - 1] = gain(parts[best - 1], parts[best]) }
      if best < gains.count { gains[best] = gain(parts[best], parts[best + 1]) }
    }
  }

  /// The ends of all blocks but the last, and their bits, of the cheapest of all ways to put neighbours together.
  private static func best(_ parts: [Part]) -> (places: [Int], bits: Float) {
    // Of the first parts, up to each: the least bits, and where the last of their blocks begins.
    var least: [Float] = [0]
    var starts = [0]
    for end in parts.indices {
      var block = parts[end]
      var choice = (bits: least[end] + block.bits, start: end)
      for start in (0..<end).reversed() {
        block = Part(parts[start], block)
        let bits = least[start] + block.bits
        if bits < choice.bits { choice = (bits, start) }
      }
      least.append(choice.bits)
      starts.append(choice.start)
    }
    var places: [Int] = []
    var start = starts[parts.count]
    while start > 0 {
      places.append(parts[start - 1].end)
      start = starts[start]
    }
    return (places.reversed(), least[parts.count])
  }

  /// Bits that putting neighbours together saves.
  private static func gain(_ left: Part, _ right: Part) -> Float {
    left.bits + right.bits - Part(left, right).bits
  }

  /// Bytes that share their codes.
  private struct Part {
    let end: Int
    let bits: Float
    /// How often each byte occurs, about.
    private let counts: [Float]

    init(_ raw: UnsafeRawBufferPointer, _ range: Range<Int>) {
      let sample = range.prefix(sampleSize)
      var occurrences = [UInt32](repeating: 0, count: 256)
      occurrences.withUnsafeMutableBufferPointer { occurrences in
        for byte in raw[sample] { occurrences[Int(byte)] += 1 }
      }
      let scale = Float(range.count) / Float(sample.count)
      self.init(end: range.upperBound, counts: occurrences.map { Float($0) * scale })
    }

    init(_ left: Part, _ right: Part) {
      self.init(end: right.end, counts: zip(left.counts, right.counts).map { $0 + $1 })
    }

    private init(end: Int, counts: [Float]) {
      self.end = end
      self.counts = counts
      var total: Float = 0
      var most: Float = 0
      var sum: Float = 0
      var symbols: Float = 0
      for count in counts where count > 0 {
        total += count
        most = max(most, count)
        sum += count * log2(count)
        symbols += 1
      }
      guard symbols > 1 else {
        bits = 32
        return
      }
      // A code has a bit at least, and then the others share what is left.
      let others = total - most
      let codes = most > others ? total + others * log2(others) - (sum - most * log2(most)) : total * log2(total) - sum
      // A block's own headers, and about three bits for the length of each symbol's code.
      bits = min(codes + 3.3 * symbols + 250, 8 * total + 24)
    }
  }
}

/// To five digits, by the same operations everywhere: what is chosen by it must not depend on the machine.
private func log2(_ x: Float) -> Float {
  let s = (x.significand - 1) / (x.significand + 1)
  let square = s * s
  return Float(x.exponent) + 2.885_390 * s * (1 + square * (1 / 3 + square * (1 / 5 + square / 7)))
}
