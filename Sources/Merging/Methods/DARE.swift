import TMPackArchiveFormat
import TMPackByteIO

/// DARE: each element of a task vector is dropped with probability 1 − density, and what stays is divided by the density
/// (Yu et al., 2024, arXiv 2311.03099, section 3.2); then task arithmetic, or the election and disjoint mean of TIES.
///
/// Vectors and scalars are treated as matrices are.
struct DARE: MergingMethod {
  private static let paper = "Yu et al. 2024, arXiv 2311.03099"
  private static let settings: [MergeSetting] = [
    .weight, .density(default: 0.8, "probability that an element stays"), .rescale, .seed, .convention,
  ]

  static let linearKind = MergingMethodKind(
    "dare-linear", "Drops changes at random, rescales the rest, adds up.", paper: paper,
    settings: [.lambda(default: TaskArithmetic.defaultScale)] + settings + [.normalize(default: false)]
  ) { settings throws(StorageError) in DARE(settings, election: nil) }

  static let tiesKind = MergingMethodKind(
    "dare-ties", "Drops changes at random, rescales the rest, merges as TIES does.", paper: paper,
    settings: [.lambda(default: 1)] + settings + [.sign, .normalize(default: true)]
  ) { settings throws(StorageError) in DARE(settings, election: settings.value("sign")) }

  private let densities: PerExpert<Double>
  private let rescaling: Rescaling
  private let seed: UInt64
  private let fusion: Fusion
  package let record: SharedMethod

  private init(_ settings: MergeSettings, election: SignElection?) {
    densities = settings.numbers("density")
    rescaling = Rescaling(settings)
    seed = UInt64(settings.integer("seed"))
    fusion = Fusion(settings, election: election)
    record = settings.record
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = fusion.weights(of: group)
    let random = group.members.map { ElementRandomness(seed: seed, tensor: group.info.name, expert: $0.index) }
    let drop = { (chunk: TensorGroup.Chunk) in
      for (position, part) in chunk.members.enumerated() {
        let density = densities[group.members[position].name]
        let divisor = rescaling == .byProbability ? density : 1
        random[position].drop(
          from: part, first: chunk.range.lowerBound, density: density, dividingBy: divisor)
      }
    }
    let ratios = rescaling == .toLength ? try group.lengthRatios(drop) : []
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      drop(chunk)
      chunk.scale(ratios)
      fusion.setResult(of: chunk, weights)
      try merged.writeResult(of: chunk)
    }
  }
}
