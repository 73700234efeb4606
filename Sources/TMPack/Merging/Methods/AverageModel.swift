import ArchiveFormat
import ByteIO

/// Σ wₜ θₜ / Σ wₜ: a model soup (Wortsman et al., 2022, arXiv 2203.05482), by default the plain mean of the experts.
public struct AverageModel: MergingMethod {
  static let kind = MergingMethodKind(
    "average", "The mean of the experts: a model soup.", paper: "Wortsman et al. 2022, arXiv 2203.05482",
    settings: [
      MergeSetting("weight", MergeSetting.anyNumber, default: "1", perExpert: true, "weight in the mean"),
      MergeSetting("normalize", .flag, default: "true", "whether the weights are divided by their sum"),
    ], usesBase: false
  ) { settings throws(StorageError) in
    AverageModel(
      weights: settings.numbers("weight"), isNormalized: settings.flag("normalize"), record: settings.record)
  }

  /// w
  public let weights: PerExpert<Double>
  public let isNormalized: Bool
  public let record: SharedMethod

  public init() { self.init(weights: PerExpert(1), isNormalized: true, record: SharedMethod(.average)) }

  private init(weights: PerExpert<Double>, isNormalized: Bool, record: SharedMethod) {
    self.weights = weights
    self.isNormalized = isNormalized
    self.record = record
  }

  public func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let (weights, divisor) = try weights.weighting(of: group, dividing: isNormalized)
    try group.forEachChunk { chunk throws(StorageError) in
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      for i in 0..<chunk.count { chunk.result[i] /= divisor }
      try merged.writeResult(of: chunk)
    }
  }
}
