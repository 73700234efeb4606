import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackParallel

/// OPCM, orthogonal-projection continual merging (Tang et al., 2025, arXiv 2501.09522): experts join one after another,
/// each without what its task vector has along the directions that are merged already.
///
/// In declaration order: S₁ = τ₁ and Sₜ = Sₜ₋₁ + P(τₜ). With the SVD U Σ Vᵀ of Sₜ₋₁, P takes from Uᵀ τₜ V the diagonal and
/// the block of the r leading directions, those that come before the one with which the sum of the singular values
/// exceeds `alpha` of all. The result is θ₀ + Sₜ / λₜ, λₜ such that the merged task vector of the whole model has the mean
/// norm of the experts': λₜ = ‖Sₜ‖ / mean ‖τ‖. This is the authors' code, where λ is applied at every step; that
/// changes nothing, since P depends on directions alone. They project weights of linear layers; here it is every matrix of
/// two dimensions, and all other tensors are summed. Directions in rounding noise are left out.
///
/// To go on from a model that is merged already, declare it as the first expert, `merged_count` the number k of those in
/// it, and `merged_scale` the λ it was made with (0, the default, stands for √k: what it is when the task vectors are
/// orthogonal and equally long). S₁ is then λ times its task vector, whose norm counts k times in the mean.
///
/// Every matrix is decomposed twice, first for ‖Sₜ‖. Memory for one matrix: about eight times its elements in binary64.
struct ProjectedSequence: MergingMethod {
  package static let kind = MergingMethodKind(
    "opcm", "The experts one after another, each projected off what is merged already.",
    paper: "Tang et al. 2025, arXiv 2501.09522",
    settings: [
      MergeSetting("alpha", MergeSetting.fraction, default: "0.5", "share of the merged spectrum to project off"),
      MergeSetting("merged_count", .integer(1...65_536), default: "1", "how many experts the first one is a merge of"),
      MergeSetting(
        "merged_scale", MergeSetting.positiveOrZero, default: "0", "λ of the first expert; 0: √ of merged_count"),
    ]
  ) { settings throws(StorageError) in
    let (count, scale) = (Double(settings.integer("merged_count")), settings.number("merged_scale"))
    return ProjectedSequence(
      share: settings.number("alpha"), firstCount: count, firstScale: scale > 0 ? scale : count.squareRoot(),
      record: settings.record)
  }

  /// α
  package let share: Double
  let firstCount: Double
  let firstScale: Double
  package let record: SharedMethod
  package var usesLinearAlgebra: Bool { true }
  /// 1 / λ
  private var scale = 1.0

  private init(share: Double, firstCount: Double, firstScale: Double, record: SharedMethod) {
    self.share = share
    self.firstCount = firstCount
    self.firstScale = firstScale
    self.record = record
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    let tensors = sources.base.tensors
    var energies = [Double](repeating: 0, count: sources.experts.count)
    var mergedEnergy = 0.0
    let method = self
    try pipeline.run(tensors.count) { index throws(StorageError) in
      try located(tensor: tensors[index].name) { () throws(StorageError) -> (own: [(Int, Double)], sum: Double) in
        guard let group = try sources.group(for: tensors[index]) else { return ([], 0) }
        let products = try group.innerProducts(from: .base)
        let own = group.members.enumerated().map { ($1.index, products[$0, $0]) }
        // Without a projection, the sum's norm follows from the products.
        guard let matrices = try group.matrices() else {
          return (own, pow2(products.norm(ofSum: method.firstWeights(group))))
        }
        let sums = try matrices.map { matrix, _ throws(StorageError) in
          try method.projectedSum(matrix).withUnsafeBufferPointer { dotProduct($0, $0) }
        }
        return (own, sums.reduce(0, +))
      }
    } consume: { _, found throws(StorageError) in
      for (expert, energy) in found.own { energies[expert] += energy }
      mergedEnergy += found.sum
    }
    var scaled = self
    let norms = energies.map { $0.squareRoot() }
    let total = norms.dropFirst().reduce(firstCount * (norms.first ?? 0), +)
    let mean = total / (firstCount + Double(norms.count - 1))
    scaled.scale = mergedEnergy > 0 ? mean / mergedEnergy.squareRoot() : 0
    return scaled
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let matrices = try group.matrices() else {
      return try group.write(sumWeightedBy: firstWeights(group).map { $0 * scale }, from: .base, into: merged)
    }
    for (matrix, part) in matrices {
      try matrix.write(basePlus: scale, times: try projectedSum(matrix), into: try merged.matrix(part))
    }
  }

  /// Of the task vectors before any projection.
  private func firstWeights(_ group: TensorGroup) -> [Double] {
    group.members.map { $0.index == 0 ? firstScale : 1 }
  }

  /// S of a matrix.
  private func projectedSum(_ group: TensorGroup) throws(StorageError) -> [Double] {
    let (rows, columns) = group.matrix!
    try DoubleMatrix.checkDecomposable(rows: rows, columns: columns)
    func vector(_ member: Int) throws(StorageError) -> DoubleMatrix {
      DoubleMatrix(try group.taskVector(ofMember: member), rows: rows, columns: columns)
    }
    var sum = try vector(0)
    let first = firstWeights(group)[0]
    for i in sum.values.indices { sum.values[i] *= first }
    for member in 1..<max(1, group.members.count) {
      let projected = project(try vector(member), off: try FullSVD(sum))
      for i in sum.values.indices { sum.values[i] += projected.values[i] }
    }
    return sum.values
  }

  /// τ − U C, with C the coefficients, in terms of V, of what is to go.
  private func project(_ vector: DoubleMatrix, off merged: FullSVD) -> DoubleMatrix {
    guard let u = merged.left, let vt = merged.right else { return vector }
    let columns = vector.columns
    let along = DoubleMatrix(u, times: vector, transposing: .first)
    let leading = leadingCount(merged.singularValues)
    var gone = DoubleMatrix(zerosOfRows: merged.rank, columns: columns)
    if leading > 0 {
      let (rows, directions) = (along.rows(0..<leading), vt.rows(0..<leading))
      let block = DoubleMatrix(DoubleMatrix(rows, times: directions, transposing: .second), times: directions)
      gone.values.replaceSubrange(0..<block.values.count, with: block.values)
    }
    for k in leading..<merged.rank {
      let row = k * columns..<(k + 1) * columns
      let diagonal = along.values.withUnsafeBufferPointer { along in
        vt.values.withUnsafeBufferPointer { vt in
          dotProduct(UnsafeBufferPointer(rebasing: along[row]), UnsafeBufferPointer(rebasing: vt[row]))
        }
      }
      for j in row { gone.values[j] = diagonal * vt.values[j] }
    }
    var result = vector
    result.add(-1, u, times: gone)
    return result
  }

  /// r
  private func leadingCount(_ singularValues: [Double]) -> Int {
    let limit = share * singularValues.reduce(0, +)
    var sum = 0.0
    for (k, value) in singularValues.enumerated() {
      sum += value
      if sum > limit { return k }
    }
    return singularValues.count
  }
}

private func pow2(_ value: Double) -> Double { value * value }
