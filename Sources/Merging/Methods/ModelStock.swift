import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// Model Stock (Jang et al., 2024, arXiv 2403.19522): between the base and the mean of the experts, where the angle
/// between their task vectors says that the centre of all fine-tuned models is nearest.
///
/// θ = t · mean + (1 − t) · θ₀ with t = N cos Θ / (1 + (N − 1) cos Θ) for each tensor, or with `filter_wise` for each row
/// of a matrix, `[d₀, rest]` or of a stack, where cos Θ is the mean over pairs of the N experts that hold it. The paper's geometry has
/// Θ ≤ 90°; where the mean cosine is negative, t is 0. An unchanged tensor of an expert has a cosine of 0 to any other;
/// a tensor that one expert alone holds is that expert's. Vectors and scalars are treated as matrices of one row.
///
/// By mergekit's convention t may be negative, away from the experts; is 0 where its denominator is below 10⁻⁶; a product
/// of two lengths counts as 10⁻⁶ at least, and the rows are those of the last dimension.
struct ModelStock: MergingMethod {
  package static let kind = MergingMethodKind(
    "model-stock", "Between the base and the mean of the experts, by the angle between their task vectors.",
    paper: "Jang et al. 2024, arXiv 2403.19522",
    settings: [
      MergeSetting("filter_wise", .flag, default: "false", "an angle for each row, not for each tensor"), .convention,
    ]
  ) { settings throws(StorageError) in
    ModelStock(isByRow: settings.flag("filter_wise"), convention: settings.convention, record: settings.record)
  }

  let isByRow: Bool
  package let convention: MergeConvention
  package let record: SharedMethod

  /// - Throws: `invalidArgument` for a single expert, which is at no angle to another.
  package func prepared(for sources: MergeSources, pipeline _: OrderedPipeline) throws(StorageError)
    -> any MergingMethod
  {
    guard sources.experts.count >= 2 else {
      throw StorageError(.invalidArgument, "model-stock goes by angles between experts: it needs two or more")
    }
    return self
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard isByRow, let rest = group.matrix?.columns else {
      let weights = weights(try group.innerProducts(from: .base))
      return try group.write(sumWeightedBy: weights, from: .base, into: merged)
    }
    if convention == .mergekit {
      return try mergeRows(of: group, columns: group.info.shape.dimensions.last!, into: merged)
    }
    guard let matrices = try group.matrices() else { return try mergeRows(of: group, columns: rest, into: merged) }
    for (matrix, part) in matrices {
      try mergeRows(of: matrix, columns: matrix.matrix!.columns, into: try merged.matrix(part))
    }
  }

  private func mergeRows(
    of group: TensorGroup, columns: Int, into merged: MergedTensor
  ) throws(StorageError) {
    try group.forEachTaskVectorChunk(ofMultiple: columns) { chunk throws(StorageError) in
      for begin in stride(from: 0, to: chunk.count, by: columns) {
        let row = begin..<begin + columns
        let members = chunk.members.map { UnsafeMutableBufferPointer(rebasing: $0[row]) }
        var products = InnerProducts(count: members.count)
        products.add(members.map { UnsafeBufferPointer($0) })
        try group.check(products)
        UnsafeMutableBufferPointer(rebasing: chunk.result[row]).setToWeightedSum(of: members, weights(products))
      }
      chunk.addBase()
      try merged.writeResult(of: chunk)
    }
  }

  /// Of each task vector: t / N.
  private func weights(_ products: InnerProducts) -> [Double] {
    let count = Double(products.count)
    guard products.count > 1 else { return [1] }
    var cosine = 0.0
    for i in 0..<products.count {
      for j in i + 1..<products.count { cosine += self.cosine(products, i, j) }
    }
    cosine /= count * (count - 1) / 2
    if convention == .paper { cosine = max(0, cosine) }
    if (1 + (count - 1) * cosine).magnitude < 1e-6 { cosine = 0 }
    return [Double](repeating: cosine / (1 + (count - 1) * cosine), count: products.count)
  }

  private func cosine(_ products: InnerProducts, _ i: Int, _ j: Int) -> Double {
    guard convention == .mergekit else { return products.cosine(i, j) }
    return max(-1, min(1, products[i, j] / max(products.norm(i) * products.norm(j), 1e-6)))
  }
}
