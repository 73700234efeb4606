import TMPackArchiveFormat
import TMPackByteIO

/// DELLA: MAGPRUNE drops elements at random, the smaller the likelier, and divides what stays by the probability that it
/// stays; then the election and disjoint mean of TIES, times λ (Deep et al., 2024, arXiv 2406.11617, section 3).
///
/// Elements are ranked by magnitude within a row, of n elements; those of rank r, from 0, stay with probability
/// density − ε + 2 ε r ÷ (n − 1). Tensors of more than two dimensions are matrices of [d₀, rest]; a vector is one row; in a
/// row of one element it stays with probability `density`. Density 1 keeps all and 0 nothing, whatever ε is.
/// Memory: at least one row of every expert.
struct DELLA: MergingMethod {
  private static let paper = "Deep et al. 2024, arXiv 2406.11617"
  private static let settings: [MergeSetting] = [
    .weight, .density(default: 0.7, "mean probability that an element stays"),
    MergeSetting(
      "epsilon", .number(0...0.5), default: "0.07", perExpert: true,
      "how far the probabilities are from the density, at most"),
    .rescale, .seed, .convention,
  ]

  package static let kind = MergingMethodKind(
    "della", "Drops small changes rather than large ones, rescales the rest, merges as TIES does.", paper: paper,
    settings: [.lambda(default: 1.1)] + settings + [.sign, .normalize(default: true)]
  ) { settings throws(StorageError) in try DELLA(settings, election: settings.value("sign")) }

  static let linearKind = MergingMethodKind(
    "della-linear", "Drops small changes rather than large ones, rescales the rest, adds up.", paper: paper,
    settings: [.lambda(default: TaskArithmetic.defaultScale)] + settings + [.normalize(default: false)]
  ) { settings throws(StorageError) in try DELLA(settings, election: nil) }

  private let densities: PerExpert<Double>
  private let windows: PerExpert<Double>
  private let rescaling: Rescaling
  private let seed: UInt64
  private let fusion: Fusion
  package let record: SharedMethod

  private init(_ settings: MergeSettings, election: SignElection?) throws(StorageError) {
    densities = settings.numbers("density")
    windows = settings.numbers("epsilon")
    rescaling = Rescaling(settings)
    seed = UInt64(settings.integer("seed"))
    fusion = Fusion(settings, election: election)
    record = settings.record
    let named = Set(densities.named.keys).union(windows.named.keys).map(\.text)
    for expert in named.sorted(by: { $0.precedesInBytes($1) }) {
      try Self.check(densities[expert], windows[expert], expert: expert)
    }
    try Self.check(densities.value, windows.value, expert: nil)
  }

  private static func check(_ density: Double, _ window: Double, expert: String?) throws(StorageError) {
    guard density == 0 || density == 1 || (density - window >= 0 && density + window <= 1) else {
      throw StorageError(
        .invalidArgument,
        "density ± epsilon must be probabilities; found \(density - window) to \(density + window)", expert: expert)
    }
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = fusion.weights(of: group)
    let columns = group.matrix?.columns ?? group.count
    let random = group.members.map { ElementRandomness(seed: seed, tensor: group.info.name, expert: $0.index) }
    var ranking = MagnitudeRanking()
    let drop = { (chunk: TensorGroup.Chunk) in
      for (position, part) in chunk.members.enumerated() {
        let name = group.members[position].name
        for start in stride(from: 0, to: chunk.count, by: columns) {
          prune(
            UnsafeMutableBufferPointer(rebasing: part[start..<start + columns]), density: densities[name],
            window: windows[name], &ranking
          ) { random[position][chunk.range.lowerBound + start + $0] }
        }
      }
    }
    let ratios = rescaling == .toLength ? try group.lengthRatios(ofMultiple: columns, drop) : []
    try group.forEachFiniteTaskVectorChunk(ofMultiple: columns) { chunk throws(StorageError) in
      drop(chunk)
      chunk.scale(ratios)
      fusion.setResult(of: chunk, weights)
      try merged.writeResult(of: chunk)
    }
  }

  private func prune(
    _ row: UnsafeMutableBufferPointer<Double>, density: Double, window: Double,
    _ ranking: inout MagnitudeRanking, _ random: (Int) -> Double
  ) {
    if density == 1 { return }
    if density == 0 { return row.update(repeating: 0) }
    for (rank, i) in ranking.ascending(UnsafeBufferPointer(row)).enumerated() {
      let place = row.count == 1 ? 0.5 : Double(rank) / Double(row.count - 1)
      let probability = density - window + place * (2 * window)
      row[i] = random(i) < probability ? (rescaling == .byProbability ? row[i] / probability : row[i]) : 0
    }
  }
}
