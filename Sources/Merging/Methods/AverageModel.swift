import TMPackArchiveFormat
import TMPackByteIO

/// Σ wₜ θₜ / Σ wₜ: a model soup (Wortsman et al., 2022, arXiv 2203.05482), by default the plain mean of the experts.
package struct AverageModel: MergingMethod {
  package static let kind = MergingMethodKind(
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
  package let weights: PerExpert<Double>
  package let isNormalized: Bool
  package let record: SharedMethod

  package init() { self.init(weights: PerExpert(1), isNormalized: true, record: SharedMethod(.average)) }

  private init(weights: PerExpert<Double>, isNormalized: Bool, record: SharedMethod) {
    self.weights = weights
    self.isNormalized = isNormalized
    self.record = record
  }

  package func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let (weights, divisor) = try weights.weighting(of: group, dividing: isNormalized)
    try group.forEachChunk { chunk throws(StorageError) in
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      if divisor != 1 { chunk.result.divide(by: divisor) }
      try merged.writeResult(of: chunk)
    }
  }
}
