import TMPackByteIO

/// Which inputs get weights together: they are taken to belong to one task, and their evidence is added up.
package enum Pooling: Sendable, Hashable {
  /// Each input by itself.
  case each
  /// Every so many inputs in their order; the last group may be smaller.
  case groups(of: Int)
  /// All inputs together.
  case all

  /// The groups of so many rows.
  package func groups(_ rows: Int) -> [Range<Int>] {
    let size: Int
    switch self {
    case .each: size = 1
    case .groups(let count): size = max(1, count)
    case .all: size = max(1, rows)
    }
    return stride(from: 0, to: rows, by: size).map { $0..<min($0 + size, rows) }
  }
}

/// The evidence of a group of inputs: the sum of the logarithms of their probabilities (TMP-11-9).
struct PooledEvidence {
  private var sums: [Double]
  private var count = 0

  init(classCount: Int) { sums = [Double](repeating: 0, count: classCount) }

  /// - Throws: `nonFinite` where a logarithm or the sum of some is not finite (TMP-11-8).
  package mutating func add(_ logProbabilities: [Double]) throws(StorageError) {
    for index in sums.indices { sums[index] += logProbabilities[index] }
    guard sums.allSatisfy(\.isFinite) else {
      throw StorageError(.nonFinite, "the router's logits, divided by the temperature, overflow for this input")
    }
    count += 1
  }

  /// What the inputs say together, if each is evidence by itself.
  package var probabilities: [Double] { Probabilities.softmax(sums) }

  /// Between 0, when the inputs are certain, and 1, when they say nothing: of their geometric mean, so that many inputs
  /// that say little do not become certain together (TMP-11-10).
  var entropy: Double { Uncertainty.normalizedEntropy(Probabilities.softmax(sums.map { $0 / Double(count) })) }
}
