import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackParallel
import TMPackTensorKit

/// RegMean (Jin et al., 2023, arXiv 2212.09849): the linear layer whose outputs are nearest, in squares, to those of each
/// expert on its own inputs.
///
/// For a layer y = W x with W of `[out, in]`: W = (Σ wₜ Wₜ Gₜ) (Σ wₜ Gₜ)⁻¹, Gₜ the Gram matrix `[in, in]` of the expert's
/// inputs under the tensor's name followed by `.gram` (`Spec/merging-statistics.md`), off its diagonal multiplied by
/// `alpha` (the paper's 0.9). Tensors of more dimensions are matrices of `[d₀, rest]`, or for a stack of Gram matrices, `[d₀, in, in]`,
/// those of `[d₀, out, in]`. An input that is always zero has
/// no influence on any output; its weights are averaged. Tensors without Gram matrices are averaged with the weights wₜ.
/// Memory for one matrix: two Gram matrices and twice its elements in binary64.
struct RegressionMean: MergingMethod {
  package static let suffix = ".gram"

  package static let kind = MergingMethodKind(
    "regmean", "The linear layers nearest in their outputs to those of the experts.",
    paper: "Jin et al. 2023, arXiv 2212.09849",
    settings: [
      MergeSetting(
        "weight", MergeSetting.positiveOrZero, default: "1", perExpert: true, "weight of an expert's inputs"),
      MergeSetting("alpha", MergeSetting.fraction, default: "0.9", "factor of the Gram matrices off their diagonals"),
    ], usesBase: false
  ) { settings throws(StorageError) in
    RegressionMean(weights: settings.numbers("weight"), offDiagonal: settings.number("alpha"), record: settings.record)
  }

  /// w
  package let weights: PerExpert<Double>
  /// α
  let offDiagonal: Double
  package let record: SharedMethod
  package var usesLinearAlgebra: Bool { true }

  package func prepared(for sources: MergeSources, pipeline _: OrderedPipeline) throws(StorageError)
    -> any MergingMethod
  {
    try sources.checkStatistics(suffix: Self.suffix)
    return self
  }

  /// - Throws: `invalidArgument` for Gram matrices with a singular sum.
  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = try weights.weights(of: group, normalized: true)
    guard let grams = try grams(of: group) else {
      return try group.write(sumWeightedBy: weights, from: .zero, into: merged)
    }
    guard let stack = MatrixStack(ofLast: grams[0].info.shape) else {
      return try merge(group, grams, weights, into: merged)
    }
    let matrices = try group.matrices(of: MatrixStack(ofLast: group.info.shape)!)
    for (number, (matrix, part)) in matrices.enumerated() {
      let own = try grams.map { gram throws(StorageError) in try gram.matrix(MatrixPart(stack: stack, number: number)) }
      try merge(matrix, own, weights, into: try merged.matrix(part))
    }
  }

  /// One of each member for a matrix of [d₀, rest], or a stack of them for a stack of matrices of the last two dimensions.
  private func grams(of group: TensorGroup) throws(StorageError) -> [StoredElements]? {
    guard let (_, columns) = group.matrix else { return nil }
    let d = group.info.shape.dimensions
    var shapes = [try Shape([columns, columns])]
    if MatrixStack(ofLast: group.info.shape) != nil { shapes.append(try Shape([d[0], d[2], d[2]])) }
    return try group.statistics(suffix: Self.suffix, shapes: shapes)
  }

  private func merge(
    _ group: TensorGroup, _ grams: [StoredElements], _ weights: [Double], into merged: MergedTensor
  ) throws(StorageError) {
    let (rows, columns) = group.matrix!
    try DoubleMatrix.checkDecomposable(rows: columns, columns: columns)
    var sum = DoubleMatrix(zerosOfRows: columns, columns: columns)
    var outputs = DoubleMatrix(zerosOfRows: rows, columns: columns)
    for (member, elements) in grams.enumerated() {
      let gram = try located(expert: group.members[member].name) { () throws(StorageError) in
        try elements.gram(order: columns, offDiagonal: offDiagonal)
      }
      for i in sum.values.indices { sum.values[i] += weights[member] * gram.values[i] }
      let layer = DoubleMatrix(try group.elements(ofMember: member), rows: rows, columns: columns)
      outputs.add(weights[member], layer, times: gram)
    }
    let unused = (0..<columns).filter { sum.values[$0 * (columns + 1)] == 0 }
    for j in unused { sum.values[j * (columns + 1)] = 1 }
    if !unused.isEmpty {
      for member in weights.indices {
        let layer = try group.elements(ofMember: member)
        for i in 0..<rows {
          for j in unused { outputs.values[i * columns + j] += weights[member] * layer[i * columns + j] }
        }
      }
    }
    guard outputs.divide(bySymmetric: sum) else {
      throw StorageError(
        .invalidArgument, "the sum of the Gram matrices is singular: measure more inputs, or lower 'alpha'")
    }
    try merged.write(outputs.values)
  }
}

extension MatrixStack {
  /// The matrices of the last two of three dimensions; nil for other tensors.
  fileprivate init?(ofLast shape: Shape) {
    let d = shape.dimensions
    guard d.count == 3 else { return nil }
    self.init([d[0], d[1], 1, d[2], 1], of: shape.elementCount)
  }
}

extension StoredElements {
  /// XᵀX, its elements off the diagonal multiplied by `factor`.
  fileprivate func gram(order: Int, offDiagonal factor: Double) throws(StorageError) -> DoubleMatrix {
    var gram = DoubleMatrix(try elements(0..<order * order), rows: order, columns: order)
    try gram.values.withUnsafeBufferPointer { values throws(StorageError) in try check(values, atLeast: -1e150) }
    let diagonal = (0..<order).map { gram.values[$0 * (order + 1)] }
    try diagonal.withUnsafeBufferPointer { values throws(StorageError) in try check(values, atLeast: 0) }
    for i in gram.values.indices { gram.values[i] *= factor }
    for i in 0..<order { gram.values[i * (order + 1)] = diagonal[i] }
    return gram
  }
}
