import TMPackArchiveFormat
import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The Riemannian barycentre of the experts' directions (Karcher, 1977), as long as they are on average.
///
/// On the unit sphere, u is moved to exp_u(Σ wₜ log_u uₜ) until the step is shorter than `tol`, from the normalised mean
/// on; the result is (Σ wₜ ‖xₜ‖) · u, xₜ the tensor or the task vector. As in mergekit, except that zero vectors alone are
/// left out of the barycentre, not all those shorter than `tol`, and so are vectors opposite to u, of which no direction
/// is the shortest. All iterates are sums of the uₜ, so that the iteration works on their inner products alone.
/// Each tensor is one vector, whatever its number of dimensions.
struct KarcherMean: MergingMethod {
  package static let kind = MergingMethodKind(
    "karcher", "The barycentre of the experts on the sphere, as long as they are on average.",
    paper: "Karcher 1977, doi 10.1002/cpa.3160300502",
    settings: [
      .weight, MergeSetting("max_iter", .integer(0...10_000), default: "10", "most steps"),
      MergeSetting("tol", .number(0...1), default: "1e-5", "length of a step, in radians, that is the last"),
      .origin(default: .zero),
    ], usesBase: false
  ) { settings throws(StorageError) in
    KarcherMean(
      weights: settings.numbers("weight"), steps: settings.integer("max_iter"), tolerance: settings.number("tol"),
      origin: settings.origin(), record: settings.record)
  }

  package let weights: PerExpert<Double>
  package let steps: Int
  package let tolerance: Double
  let origin: VectorOrigin
  package let record: SharedMethod

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = try weights.weights(of: group, normalized: true)
    let products = try group.innerProducts(from: origin)
    let norms = (0..<products.count).map { products.norm($0) }
    let length = zip(weights, norms).reduce(0) { $0 + $1.0 * $1.1 }
    let direction = barycenter(products, weights: weights, among: norms.indices.filter { norms[$0] > 0 })
    let sum = norms.indices.map { norms[$0] > 0 ? length * direction[$0] / norms[$0] : 0 }
    try group.write(sumWeightedBy: sum, from: origin, into: merged)
  }

  /// u in terms of the unit vectors.
  private func barycenter(_ products: InnerProducts, weights: [Double], among present: [Int]) -> [Double] {
    let count = products.count
    var u = [Double](repeating: 0, count: count)
    let total = present.reduce(0) { $0 + weights[$1] }
    guard let first = present.first, total != 0 else { return u }
    func cosine(_ i: Int, _ vector: [Double]) -> Double {
      present.reduce(0) { $0 + vector[$1] * products.cosine(i, $1) }
    }
    func norm(_ vector: [Double]) -> Double {
      max(0, present.reduce(0) { $0 + vector[$1] * cosine($1, vector) }).squareRoot()
    }

    for i in present { u[i] = weights[i] / total }
    let start = norm(u)
    if start < max(tolerance, .leastNormalMagnitude) {
      u = [Double](repeating: 0, count: count)
      u[first] = 1
    } else {
      for i in present { u[i] /= start }
    }

    for _ in 0..<steps {
      // Σ wₜ log_u uₜ, where log_u uₜ = θ / sin θ · (uₜ − cos θ · u).
      var step = [Double](repeating: 0, count: count)
      for i in present {
        let dot = max(-1, min(1, cosine(i, u)))
        let angle = acos(dot)
        guard angle >= tolerance, angle > 0, dot > -1 + 1e-12 else { continue }
        let part = weights[i] / total * angle / sin(angle)
        step[i] += part
        for j in present { step[j] -= part * dot * u[j] }
      }
      let length = norm(step)
      guard length >= tolerance, length > 0 else { break }
      for i in present { u[i] = cos(length) * u[i] + sin(length) / length * step[i] }
      let norm = norm(u)
      if norm > 0 { for i in present { u[i] /= norm } }
    }
    return u
  }
}
