import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization

/// Iso-C (Marczak et al., 2025, arXiv 2502.04959): θ₀ + λ · σ̄ · U Vᵀ, where U Σ Vᵀ is the SVD of the sum of the task
/// vectors and σ̄ the mean of its min(rows, columns) singular values: all directions get the same weight.
///
/// For matrices, of two dimensions or of a stack of three; of other tensors, as in the authors' code, λ times the mean task vector is
/// added.
/// Directions that are lost in rounding noise are left out (the SVD has arbitrary ones there).
/// λ is the paper's α, to be chosen on data.
/// Memory for one matrix: about six times its elements in binary64.
struct IsotropicMerge: MergingMethod {
  package static let kind = MergingMethodKind(
    "iso-c", "The sum of the task vectors with all singular values alike.",
    paper: "Marczak et al. 2025, arXiv 2502.04959", settings: [.lambda(default: 1), .weight]
  ) { settings throws(StorageError) in
    IsotropicMerge(scale: settings.number("lambda"), weights: settings.numbers("weight"), record: settings.record)
  }

  /// λ
  package let scale: Double
  package let weights: PerExpert<Double>
  package let record: SharedMethod
  package var usesLinearAlgebra: Bool { true }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let matrices = try group.matrices() else {
      return try group.write(meanTaskVectorTimes: scale, weights, into: merged)
    }
    for (matrix, part) in matrices { try merge(matrix: matrix, into: try merged.matrix(part)) }
  }

  private func merge(matrix group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let (rows, columns) = group.matrix!
    try DoubleMatrix.checkDecomposable(rows: rows, columns: columns)
    let sum = try group.taskVectorSum(group.names.map { weights[$0] })
    let polar = try PolarFactor(DoubleMatrix(sum, rows: rows, columns: columns))
    let mean = polar.nuclearNorm / Double(min(rows, columns))
    try group.write(basePlus: scale * mean, times: polar.factor?.values ?? sum, into: merged)
  }
}

/// Iso-CTS (Marczak et al., 2025, arXiv 2502.04959): Iso-C in which the least of the common directions make room for
/// some of each expert's own.
///
/// As in the authors' code: of the k = min(rows, columns) directions, T · n belong to the T experts that hold the
/// matrix, n = round((k − ⌊`common_space_fraction` · k⌋) / T), and the others are the leading ones of the sum of the
/// task vectors, U_c. Each expert gives the n leading triplets of τₜ − U_c U_cᵀ τₜ. The left and the right vectors are
/// then each orthogonalised, U Vᵀ, and the result is θ₀ + λ · σ̄ · U⊥ V⊥ᵀ with σ̄ the mean of all k values.
/// Tensors that are no matrices, noise, and λ: as in Iso-C.
/// Memory for one matrix: about eight times its elements in binary64. Time: one full singular value decomposition, and
/// T + 2 of Gram matrices.
struct CommonAndSpecificMerge: MergingMethod {
  package static let kind = MergingMethodKind(
    "iso-cts", "As iso-c, with directions of each expert in place of the least common ones.",
    paper: "Marczak et al. 2025, arXiv 2502.04959",
    settings: [
      .lambda(default: 1), .weight,
      MergeSetting(
        "common_space_fraction", MergeSetting.fraction, default: "0.8", "share of the directions that are common"),
    ]
  ) { settings throws(StorageError) in
    CommonAndSpecificMerge(
      scale: settings.number("lambda"), weights: settings.numbers("weight"),
      fraction: settings.number("common_space_fraction"), record: settings.record)
  }

  /// λ
  package let scale: Double
  package let weights: PerExpert<Double>
  let fraction: Double
  package let record: SharedMethod
  package var usesLinearAlgebra: Bool { true }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    guard let matrices = try group.matrices() else {
      return try group.write(meanTaskVectorTimes: scale, weights, into: merged)
    }
    for (matrix, part) in matrices { try merge(matrix: matrix, into: try merged.matrix(part)) }
  }

  private func merge(matrix group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let (rows, columns) = group.matrix!
    try DoubleMatrix.checkDecomposable(rows: rows, columns: columns)
    let weights = group.names.map { self.weights[$0] }
    let k = min(rows, columns)
    let common = Double(k) - (fraction * Double(k)).rounded(.down)
    // The authors' rounding may ask for more directions than there are, where the fraction is small.
    let own = min(Int((common / Double(weights.count)).rounded(.toNearestOrEven)), k / weights.count)

    let sum = try FullSVD(
      DoubleMatrix(try group.taskVectorSum(weights), rows: rows, columns: columns)
    ).leading(k - own * weights.count)
    var directions = Directions(rows: rows, columns: columns)
    if own > 0 {
      for member in weights.indices {
        var vector = DoubleMatrix(try group.taskVector(ofMember: member), rows: rows, columns: columns)
        for i in vector.values.indices { vector.values[i] *= weights[member] }
        if let u = sum.left { vector.add(-1, u, times: DoubleMatrix(u, times: vector, transposing: .first)) }
        directions.append(try FullSVD(leading: own, of: vector))
      }
    }
    directions.append(sum)
    let merging = try directions.orthogonalized()
    try group.write(
      basePlus: scale * directions.nuclearNorm / Double(k),
      times: merging?.values ?? [Double](repeating: 0, count: group.count),
      into: merged)
  }
}

/// Singular triplets from several matrices of one shape.
private struct Directions {
  package let rows: Int
  package let columns: Int
  /// Left vectors, one after another.
  private var left: [Double] = []
  /// Right vectors, one after another.
  private var right: [Double] = []
  package private(set) var nuclearNorm = 0.0

  init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
  }

  package mutating func append(_ svd: FullSVD) {
    guard let u = svd.left, let vt = svd.right else { return }
    for k in 0..<u.columns {
      for i in 0..<rows { left.append(u.values[i * u.columns + k]) }
    }
    right += vt.values
    nuclearNorm += svd.nuclearNorm
  }

  /// U⊥ · V⊥ᵀ; nil without any.
  func orthogonalized() throws(StorageError) -> DoubleMatrix? {
    guard !left.isEmpty else { return nil }
    let count = left.count / rows
    // Rows of vectors, so that the factors are U⊥ᵀ and V⊥ᵀ.
    guard let u = try PolarFactor(DoubleMatrix(left, rows: count, columns: rows)).factor,
      let v = try PolarFactor(DoubleMatrix(right, rows: count, columns: columns)).factor
    else { return nil }
    return DoubleMatrix(u, times: v, transposing: .first)
  }
}

extension TensorGroup {
  /// Writes the base plus `scale` times the mean of the weighted task vectors: what the spectral methods do with tensors
  /// that are no matrices.
  package func write(
    meanTaskVectorTimes scale: Double, _ weights: PerExpert<Double>, into merged: MergedTensor
  ) throws(StorageError) {
    try write(
      sumWeightedBy: names.map { scale * weights[$0] / Double(members.count) }, from: .base, into: merged)
  }
}
