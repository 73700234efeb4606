import TMPackArchiveFormat
import TMPackByteIO

/// Multi-SLERP (Goddard, 2025, as in mergekit): the weighted mean direction of the experts, as long as they are on average.
///
/// With unit vectors uₜ = xₜ / (‖xₜ‖ + ε), xₜ the task vector or the tensor: θ = (Σ wₜ ‖xₜ‖) · m / ‖m‖, m = Σ wₜ uₜ.
/// The method is described as a step in the tangent space at m / ‖m‖, by the weighted sum of the projections of the uₜ;
/// but that sum is m less its own projection on m, which is zero, so that there is no step to take.
///
/// Where m vanishes, directions cancel: two vectors are then averaged linearly, and so are vectors that are all zero.
/// Each tensor is one vector, whatever its number of dimensions.
struct SphericalBarycenter: MergingMethod {
  package static let kind = MergingMethodKind(
    "multislerp", "The mean direction of the experts, as long as they are on average.",
    paper: "Goddard 2025, goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    settings: [
      .weight,
      MergeSetting("normalize_weights", .flag, default: "true", "whether the weights are divided by their sum"),
      MergeSetting("eps", .number(0...1), default: "1e-8", "length below which a mean direction is none"),
      .origin(default: .base),
    ]
  ) { settings throws(StorageError) in
    SphericalBarycenter(
      weights: settings.numbers("weight"), isNormalized: settings.flag("normalize_weights"),
      epsilon: settings.number("eps"), origin: settings.origin(), record: settings.record)
  }

  package let weights: PerExpert<Double>
  let isNormalized: Bool
  let epsilon: Double
  let origin: VectorOrigin
  package let record: SharedMethod

  /// - Throws: `invalidArgument` for three or more experts whose directions cancel.
  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = try weights.weights(of: group, normalized: isNormalized)
    let products = try group.innerProducts(from: origin)
    let norms = (0..<products.count).map { products.norm($0) }
    let mean = zip(weights, norms).map { $1 > 0 ? $0 / ($1 + epsilon) : 0 }
    let meanNorm = products.norm(ofSum: mean)
    guard meanNorm >= epsilon, meanNorm > 0 else {
      guard weights.count <= 2 || norms.allSatisfy({ $0 <= epsilon }) else {
        throw StorageError(.invalidArgument, "the weighted directions of the experts cancel; choose other weights")
      }
      return try group.write(sumWeightedBy: weights, from: origin, into: merged)
    }
    let length = zip(weights, norms).reduce(0) { $0 + $1.0 * $1.1 }
    try group.write(sumWeightedBy: mean.map { $0 * length / meanNorm }, from: origin, into: merged)
  }
}
