import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit

/// How much the directions of a matrix matter, where that was measured; nil weighs all of a side alike.
package struct MatrixWeights: Sendable {
  let rows: DirectionWeights?
  let columns: DirectionWeights?

  /// ‖W (v − decoded) W‖².
  ///
  /// - Parameters:
  ///   - values: of v.
  ///   - factor: nil for nothing.
  func squaredError(
    of factor: QuantizedFactor?, against values: UnsafeBufferPointer<Float>, of shape: (rows: Int, columns: Int)
  ) -> Double {
    var lost = Array(values)
    if let factor {
      lost.withUnsafeMutableBufferPointer { Factor.quantized(factor).accumulate(weight: -1, into: $0) }
    }
    return DirectionWeights.weighted(lost, rows: shape.rows, columns: shape.columns, rows, columns)
      .reduce(0) { $0 + Double($1) * Double($1) }
  }
}

extension Limits {
  /// The side of a matrix that is weighed: a decomposition of the square that is as long takes minutes above.
  static let weighedSide = 4096
}

extension ExpertInput {
  /// The weights of a matrix by the expert's statistics (`Spec/merging-statistics.md`).
  ///
  /// - Returns: nil without statistics, and for what has not two dimensions.
  /// - Throws: `shapeMismatch` for moments of another size; `malformed` and `nonFinite` for numbers that no moments can be.
  /// - Complexity: O(side³) for each side; holds up to 6 side² doubles.
  package func weights(of name: String, _ shape: Shape) throws(StorageError) -> MatrixWeights? {
    guard statistics != nil, shape.dimensions.count == 2, shape.elementCount > 0 else { return nil }
    func side(_ axis: Int) throws(StorageError) -> DirectionWeights? {
      guard shape.dimensions[axis] <= Limits.weighedSide, let own = moments(of: name, axis: axis) else { return nil }
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
    let measured = [0, 1].filter { moments(of: info.name, axis: $0) != nil }
    if measured.isEmpty { return .unmeasured }
    return measured.contains { info.shape.dimensions[$0] > Limits.weighedSide } ? .longSide : nil
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
    try Resources.checkMemory(8 * info.shape.elementCount)
    let moments = try statistics.bytes(of: info).withBytes { raw in
      [Double](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
    guard moments.allSatisfy({ $0.magnitude <= 1e150 }) else {
      throw StorageError(.nonFinite, "holds a number that no moment can be", file: statistics.label)
    }
    let diagonal = isDiagonal ? moments : (0..<order).map { moments[$0 * order + $0] }
    guard diagonal.allSatisfy({ $0 >= 0 }) else {
      throw StorageError(.malformed, "has a mean of squares below 0", file: statistics.label)
    }
    if isDiagonal { return DirectionWeights(diagonal: moments) }
    let tolerance = 1e-3 * (diagonal.max() ?? 0)
    for i in 0..<order {
      for j in 0..<i where abs(moments[i * order + j] - moments[j * order + i]) > tolerance {
        throw StorageError(.malformed, "is not symmetric", file: statistics.label)
      }
    }
    return DirectionWeights(moments: moments, order: order)
  }
}

extension RateControl {
  /// Whether the directions of matrices are weighed by statistics: where it is known at which setting that has to pay, and the plain
  /// error is not what is asked for.
  package var weighsDirections: Bool { objective == .balanced && fixedQuality != nil }
}
