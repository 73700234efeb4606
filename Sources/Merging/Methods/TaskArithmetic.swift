import TMPackArchiveFormat
import TMPackByteIO

/// θ₀ + λ Σ wₜ (θₜ − θ₀) (Ilharco et al., 2023, arXiv 2212.04089); Twin-Merging's default, with λ = 0.3.
package struct TaskArithmetic: MergingMethod {
  package static let defaultScale = 0.3

  package static let kind = MergingMethodKind(
    "task-arithmetic", "The base plus the scaled sum of the task vectors.",
    paper: "Ilharco et al. 2023, arXiv 2212.04089",
    settings: [.lambda(default: defaultScale), .weight, .normalize(default: false)]
  ) { settings throws(StorageError) in
    TaskArithmetic(
      scale: settings.number("lambda"), weights: settings.numbers("weight"),
      isNormalized: settings.flag("normalize"), record: settings.record)
  }

  /// λ
  package let scale: Double
  /// w
  package let weights: PerExpert<Double>
  /// Whether the sum is divided by that of the weights, unless that is below 10⁻⁸, which counts as 0.
  package let isNormalized: Bool
  package let record: SharedMethod

  package init(scale: Double = defaultScale) {
    self.init(
      scale: scale, weights: PerExpert(1), isNormalized: false,
      record: SharedMethod(.taskArithmetic, parameters: ["lambda": String(describing: scale)]))
  }

  private init(scale: Double, weights: PerExpert<Double>, isNormalized: Bool, record: SharedMethod) {
    self.scale = scale
    self.weights = weights
    self.isNormalized = isNormalized
    self.record = record
  }

  package func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = group.names.map { self.weights[$0] }
    let total = weights.reduce(0, +)
    let scale = isNormalized && total.magnitude > 1e-8 ? self.scale / total : self.scale
    try group.forEachTaskVectorChunk { chunk throws(StorageError) in
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      chunk.addBase(scaledBy: scale)
      try merged.writeResult(of: chunk)
    }
  }
}

extension MergeSetting {
  /// λ, which scales the merged task vector.
  package static func lambda(default value: Double) -> MergeSetting {
    MergeSetting("lambda", anyNumber, default: String(describing: value), "scale of the merged task vector")
  }
  /// wₜ of a task vector.
  package static let weight = MergeSetting(
    "weight", anyNumber, default: "1", perExpert: true, "scale of an expert's task vector")
}
