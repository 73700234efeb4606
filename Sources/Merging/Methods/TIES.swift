import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// TIES: each task vector keeps its largest elements, every element elects a sign, and the mean is taken of the experts
/// that have it (Yadav et al., 2023, arXiv 2306.01708); θ₀ + λ times that.
///
/// The share `density` is taken of the whole task vector, as in the paper, or of each tensor. Vectors and scalars are
/// treated as matrices are.
struct TIES: MergingMethod {
  package static let kind = MergingMethodKind(
    "ties", "Trims small changes, elects a sign, averages those that agree.",
    paper: "Yadav et al. 2023, arXiv 2306.01708",
    settings: [
      .lambda(default: 1), .weight, .density(default: 0.2, "share of a task vector's elements that stay"),
      .sign, .scope, .normalize(default: true), .rescaleToLength, .convention,
    ]
  ) { settings throws(StorageError) in
    TIES(
      trim: MagnitudeTrim(
        densities: settings.numbers("density"), scope: settings.value("scope"), convention: settings.convention),
      rescales: settings.flag("rescale"), fusion: Fusion(settings, election: settings.value("sign")),
      record: settings.record)
  }

  private var trim: MagnitudeTrim
  private let rescales: Bool
  private let fusion: Fusion
  package let record: SharedMethod

  private init(trim: MagnitudeTrim, rescales: Bool, fusion: Fusion, record: SharedMethod) {
    self.trim = trim
    self.rescales = rescales
    self.fusion = fusion
    self.record = record
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    var prepared = self
    prepared.trim = try trim.prepared(for: sources, pipeline: pipeline)
    return prepared
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let thresholds = try trim.thresholds(of: group)
    let weights = fusion.weights(of: group)
    let ratios = rescales ? try group.lengthRatios { $0.trim(below: thresholds) } : []
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      chunk.trim(below: thresholds)
      chunk.scale(ratios)
      fusion.setResult(of: chunk, weights)
      try merged.writeResult(of: chunk)
    }
  }
}
