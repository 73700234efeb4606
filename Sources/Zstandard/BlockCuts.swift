/// Where blocks should end: each has codes of its own, which pay where the statistics change, and cost a table.
///
/// Neighbouring parts are put together, those first that gain most by it, until none gains. What a part costs is estimated from
/// its order-0 entropy.
public struct BlockCuts {
  /// Parts are at least so long, so that their number is bounded.
  private static let shortestPart = 512
  /// So much of the beginning of a part speaks for all of it.
  private static let sampleSize = 16 << 10

  /// Where to cut: some of the candidates, increasing.
  public let places: [Int]
  /// Bits that all blocks take, about.
  public let bits: Float

  /// - Parameter candidates: increasing places in `raw`, ends included or not.
  /// - Complexity: O(p²) for p candidates, and 1 KiB for each.
  public init(_ candidates: [Int], in raw: UnsafeRawBufferPointer) {
    var parts: [Part] = []
    var start = 0
    for end in candidates where end - start >= Self.shortestPart && raw.count - end >= Self.shortestPart {
      parts.append(Part(raw, start..<end))
      start = end
    }
    parts.append(Part(raw, start..<raw.count))
    var gains = zip(parts, parts.dropFirst()).map(Self.gain)
    while let best = gains.indices.max(by: { gains[$0] < gains[$1] }), gains[best] > 0 {
      parts[best] = Part(parts[best], parts[best + 1])
      parts.remove(at: best + 1)
      gains.remove(at: best)
      if best > 0 { gains[best - 1] = Self.gain(parts[best - 1], parts[best]) }
      if best < gains.count { gains[best] = Self.gain(parts[best], parts[best + 1]) }
    }
    places = parts.dropLast().map(\.end)
    bits = parts.reduce(0) { $0 + $1.bits }
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
      // A block's own headers, and about two bits and a half for the length of each symbol's code.
      bits = min(codes + 2.5 * symbols + 120, 8 * total + 24)
    }
  }
}

/// To five digits, by the same operations everywhere: what is chosen by it must not depend on the machine.
private func log2(_ x: Float) -> Float {
  let s = (x.significand - 1) / (x.significand + 1)
  let square = s * s
  return Float(x.exponent) + 2.885_390 * s * (1 + square * (1 / 3 + square * (1 / 5 + square / 7)))
}
