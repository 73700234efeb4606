import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit

/// How much the directions of a matrix matter, where that was measured; nil weighs all of a side alike.
package struct MatrixWeights: Sendable {
  let rows: DirectionWeights?
  let columns: DirectionWeights?
}

extension Limits {
  /// The side of a matrix that is weighed by a square of moments: factoring it takes longer than all else above.
  static let weighedSide = 4096
}

extension ExpertInput {
  /// The weights of a matrix by the expert's statistics (`Spec/merging-statistics.md`).
  ///
  /// - Returns: nil without statistics, and for what has not two dimensions.
  /// - Throws: `shapeMismatch` for moments of another size; `malformed` and `nonFinite` for numbers that no moments can be.
  /// - Complexity: O(side³ ÷ 3) for each side; holds up to 3 side² floats.
  package func weights(of name: String, _ shape: Shape) throws(StorageError) -> MatrixWeights? {
    guard statistics != nil, shape.dimensions.count == 2, shape.elementCount > 0 else { return nil }
    func side(_ axis: Int) throws(StorageError) -> DirectionWeights? {
      guard let own = moments(of: name, axis: axis), own.isDiagonal || shape.dimensions[axis] <= Limits.weighedSide
      else { return nil }
      return try located(expert: self.name, tensor: own.info.name) { () throws(StorageError) in
        try weights(own.info, isDiagonal: own.isDiagonal, order: shape.dimensions[axis])
      }
    }
    let (rows, columns) = (try side(0), try side(1))
    return rows == nil && columns == nil ? nil : MatrixWeights(rows: rows, columns: columns)
  }

  /// Why a matrix that the statistics could weigh is not, or only on one side; by names and shapes alone.
  func noteOnWeights(of info: TensorInfo) -> PackSummary.Note.Reason? {
    guard statistics != nil, info.shape.dimensions.count == 2, info.shape.elementCount > 0 else { return nil }
    let measured = [0, 1].compactMap { axis in
      moments(of: info.name, axis: axis).map { (side: info.shape.dimensions[axis], isDiagonal: $0.isDiagonal) }
    }
    if measured.isEmpty { return .unmeasured }
    return measured.contains { !$0.isDiagonal && $0.side > Limits.weighedSide } ? .longSide : nil
  }

  private func moments(of name: String, axis: Int) -> (info: TensorInfo, isDiagonal: Bool)? {
    let suffixes = axis == 0 ? [(".gram0", false), (".counts", true)] : [(".gram", false), (".gram1", false)]
    for (suffix, isDiagonal) in suffixes {
      if let info = statistics?.tensor(named: name + suffix) { return (info, isDiagonal) }
    }
    return nil
  }

  private func weights(
    _ info: TensorInfo, isDiagonal: Bool, order: Int
  ) throws(StorageError) -> DirectionWeights? {
    guard let statistics else { return nil }
    let expected = isDiagonal ? [order] : [order, order]
    guard info.shape.dimensions == expected else {
      throw StorageError(
        .shapeMismatch, "is \(info.shape); it must be \(try Shape(expected))", file: statistics.label)
    }
    guard let format = info.dtype.floatFormat else {
      throw StorageError(.malformed, "is \(info.dtype.rawValue); statistics are floats", file: statistics.label)
    }
    try Resources.checkMemory(4 * info.shape.elementCount)
    return try statistics.bytes(of: info).withBytes { raw throws(StorageError) in
      let moments = try SecondMoments(raw, format, order: order, isDiagonal: isDiagonal, of: statistics.label)
      if isDiagonal { return DirectionWeights(diagonal: moments.diagonal.map(Double.init)) }
      guard let relative = try moments.relative() else { return nil }
      guard let weights = DirectionWeights(relativeMoments: relative, order: order) else {
        throw StorageError(
          .malformed, "has eigenvalues below 0, which second moments have not", file: statistics.label)
      }
      return weights
    }
  }
}

extension RateControl {
  /// Whether the directions of matrices are weighed by statistics: where it is known at which setting that has to pay, and the plain
  /// error is not what is asked for.
  package var weighsDirections: Bool { objective == .balanced && fixedQuality != nil }
}
