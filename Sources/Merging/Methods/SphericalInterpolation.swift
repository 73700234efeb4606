import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// SLERP (Shoemake, 1985, “Animating rotation with quaternion curves”): along the arc between two tensors, each as one
/// vector x of angle Ω to the other, sin((1 − t) Ω) / sin Ω · x₁ + sin(t Ω) / sin Ω · x₂.
///
/// From the first expert to the second, or from the base to the only one. Between vectors that are almost parallel or
/// opposite, |cos Ω| > `dot_threshold`, it is linear: (1 − t) x₁ + t x₂. A zero vector is taken to be at a right angle
/// to any other. Tensors of any number of dimensions are treated alike; one that only one of two experts holds is that
/// expert's.
struct SphericalInterpolation: MergingMethod {
  package static let kind = MergingMethodKind(
    "slerp", "Along the arc between two experts, or between the base and one.",
    paper: "Shoemake 1985, doi 10.1145/325334.325242",
    settings: [
      MergeSetting("t", MergeSetting.fraction, default: "0.5", "position: 0 is the first model, 1 the second"),
      MergeSetting(
        "dot_threshold", .number(0...0.999_999), default: "0.9995", "cosine above which the interpolation is linear"),
    ]
  ) { settings throws(StorageError) in
    SphericalInterpolation(
      position: settings.number("t"), threshold: settings.number("dot_threshold"), record: settings.record)
  }

  /// t
  package let position: Double
  package let threshold: Double
  package let record: SharedMethod
  private var startsAtBase = false

  private init(position: Double, threshold: Double, record: SharedMethod) {
    self.position = position
    self.threshold = threshold
    self.record = record
  }

  /// - Throws: `invalidArgument` unless there are one or two experts.
  package func prepared(for sources: MergeSources, pipeline _: OrderedPipeline) throws(StorageError)
    -> any MergingMethod
  {
    guard (1...2).contains(sources.experts.count) else {
      throw StorageError(
        .invalidArgument,
        "slerp goes from one model to another: it needs one expert or two, not \(sources.experts.count); "
          + "multislerp and karcher take any number")
    }
    var method = self
    method.startsAtBase = sources.experts.count == 1
    return method
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    if !startsAtBase && group.members.count == 1 {
      return try group.write(sumWeightedBy: [1], from: .zero, into: merged)
    }
    let products = try group.innerProducts(from: .zero, withBase: startsAtBase)
    let (first, second) = startsAtBase ? (1, 0) : (0, 1)
    let (from, to) = weights(cosine: products.cosine(first, second))
    if startsAtBase {
      try group.write(sumWeightedBy: [to], from: .zero, baseWeight: from, into: merged)
    } else {
      try group.write(sumWeightedBy: [from, to], from: .zero, into: merged)
    }
  }

  /// Those of the two vectors.
  private func weights(cosine: Double) -> (Double, Double) {
    guard cosine.magnitude <= threshold else { return (1 - position, position) }
    let angle = acos(cosine)
    return (sin((1 - position) * angle) / sin(angle), sin(position * angle) / sin(angle))
  }
}
