import TMPackArchiveFormat
import TMPackByteIO

/// CABS: of every m elements in a row each expert keeps the n with the greatest changes, of those that no expert before it
/// has kept (Yang et al., 2025, arXiv 2503.01874, sections 4.1 and 4.2); θ₀ + λ times the weighted sum.
///
/// Experts choose in declaration order. Where fewer than n elements are left, the greatest of those that are taken are
/// added, so that masks overlap as little as they can. A tensor is one row of elements; of a last block of b < m elements
/// ⌈n b ÷ m⌉ are kept, which vectors and scalars need: the authors' code drops them.
struct CABS: MergingMethod {
  package static let kind = MergingMethodKind(
    "cabs", "Each expert keeps n of m changes, where those before it kept none.",
    paper: "Yang et al. 2025, arXiv 2503.01874",
    settings: [
      .lambda(default: 1), .weight,
      MergeSetting("n", .integer(0...65_536), default: "64", "elements of a block that an expert keeps"),
      MergeSetting("m", .integer(1...65_536), default: "256", "elements of a block"),
    ]
  ) { settings throws(StorageError) in try CABS(settings) }

  private let scale: Double
  private let weights: PerExpert<Double>
  private let kept: Int
  private let block: Int
  package let record: SharedMethod

  private init(_ settings: MergeSettings) throws(StorageError) {
    scale = settings.number("lambda")
    weights = settings.numbers("weight")
    kept = settings.integer("n")
    block = settings.integer("m")
    record = settings.record
    guard kept <= block else {
      throw StorageError(.invalidArgument, "n must not be greater than m; found \(kept) of \(block)")
    }
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = group.names.map { self.weights[$0] }
    try group.forEachFiniteTaskVectorChunk(ofMultiple: block) { chunk throws(StorageError) in
      var isTaken = [Bool](repeating: false, count: chunk.count)
      for part in chunk.members {
        for start in stride(from: 0, to: chunk.count, by: block) {
          keep(start..<min(start + block, chunk.count), of: part, &isTaken)
        }
      }
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      chunk.addBase(scaledBy: scale)
      try merged.writeResult(of: chunk)
    }
  }

  private func keep(
    _ range: Range<Int>, of part: UnsafeMutableBufferPointer<Double>, _ isTaken: inout [Bool]
  ) {
    let count = (kept * range.count + block - 1) / block
    // The sign's bit puts what is free before all that is taken.
    let keys = range.map { part[$0].magnitude.bitPattern | (isTaken[$0] ? 0 : 1 << 63) }
    let limit = count == 0 ? UInt64.max : keys.sorted(by: >)[count - 1]
    var equal = count - keys.count { $0 > limit }
    for (i, key) in zip(range, keys) {
      if key > limit {
        isTaken[i] = true
      } else if key == limit, equal > 0 {
        equal -= 1
        isTaken[i] = true
      } else {
        part[i] = 0
      }
    }
  }
}
