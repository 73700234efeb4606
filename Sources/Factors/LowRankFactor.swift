import TMPackByteIO
import TMPackTensorKit

/// A matrix as Σₖ scaleₖ · leftₖ · rightₖᵀ.
///
/// Decoding is defined to the bit. For a router weight w, with every operation rounded once to float32:
/// gₖ = w · scaleₖ; aᵢₖ = gₖ · leftᵢₖ; then accᵢⱼ = fma(aᵢₖ, rightₖⱼ, accᵢⱼ) for k = 0, 1, …, rank − 1, in this order.
/// Into float64 accumulators only that last step is in float64.
package struct LowRankFactor: Sendable, Hashable {
  /// m.
  package let rows: Int
  /// n.
  package let columns: Int
  /// r, in 1...min(m, n).
  package let rank: Int
  package let dtype: FactorDType
  /// r components of m elements, each starting on a byte boundary.
  package let left: [UInt8]
  /// r components of n elements, each starting on a byte boundary.
  package let right: [UInt8]
  /// r float32 numbers, little-endian.
  package let scales: [UInt8]
}

extension LowRankFactor {
  /// A factor from an archive's arrays, checked.
  ///
  /// - Throws: `malformed` when the sizes do not belong together, or an element or scale is not one that may occur.
  package init(
    left: [UInt8], right: [UInt8], scales: [UInt8], dtype: FactorDType, rows: Int, columns: Int, rank: Int
  ) throws(StorageError) {
    guard rows >= 1, columns >= 1, rank >= 1, rank <= rows, rank <= columns else {
      throw StorageError(.malformed, "a factor of rank \(rank) cannot make a matrix of \(rows) × \(columns)")
    }
    _ = try rows.multiplied(by: columns, "the number of elements of a matrix")
    try dtype.validate(left, runs: rank, of: rows, "left vectors")
    try dtype.validate(right, runs: rank, of: columns, "right vectors")
    try FactorDType.f32.validate(scales, runs: 1, of: rank, "scales")
    self.rows = rows
    self.columns = columns
    self.rank = rank
    self.dtype = dtype
    self.left = left
    self.right = right
    self.scales = scales
  }

  /// The vectors rounded to `dtype`; nil for singular values at the ends of float32's range.
  ///
  /// Floats store the unit vectors and the singular value. Integers store each vector divided by its largest entry
  /// and, as the scale, the number that makes the rounded component nearest to the exact one.
  package init?(rounding vectors: SingularVectors, to dtype: FactorDType) {
    // No partial sum of a decoded element is much above the first value.
    let values = vectors.singularValues
    guard values == [0] || values.allSatisfy(isWellWithinFloat32) else { return nil }
    var left: [UInt8] = []
    var right: [UInt8] = []
    var scales: [UInt8] = []
    vectors.left.withUnsafeBufferPointer { lefts in
      vectors.right.withUnsafeBufferPointer { rights in
        for k in 0..<vectors.rank {
          let gain =
            dtype.appendUnitVector(lefts.run(k, of: vectors.rows), to: &left)
            * dtype.appendUnitVector(rights.run(k, of: vectors.columns), to: &right)
          scales += Float(values[k] * gain).littleEndianBytes
        }
      }
    }
    rows = vectors.rows
    columns = vectors.columns
    rank = vectors.rank
    self.dtype = dtype
    self.left = left
    self.right = right
    self.scales = scales
  }

  /// Bytes of all arrays.
  package var byteCount: Int { left.count + right.count + scales.count }

  func scale(_ k: Int) -> Float {
    scales.withUnsafeBytes {
      Float(bitPattern: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4 * k, as: UInt32.self)))
    }
  }
}

extension FactorDType {
  /// Appends a unit vector's elements.
  ///
  /// - Returns: what their values are to be multiplied by.
  fileprivate func appendUnitVector(_ vector: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) -> Double {
    guard let largestInteger else {
      append(vector, to: &bytes)
      return 1
    }
    let factor = largestInteger / vector.largestMagnitude
    let scaled = vector.map { $0 * factor }
    scaled.withUnsafeBufferPointer { append($0, to: &bytes) }
    // The g that minimises ‖u − g q‖. The best scale of σ u vᵀ is the product of both sides' and σ.
    var along = 0.0
    var energy = 0.0
    for i in 0..<vector.count {
      let q = Double(nearestInteger(scaled[i]))
      along += Double(vector[i]) * q
      energy += q * q
    }
    return along / energy
  }
}

extension UnsafeBufferPointer {
  /// The `k`th of the runs of `count` elements.
  package func run(_ k: Int, of count: Int) -> Self { Self(rebasing: self[k * count..<(k + 1) * count]) }
}

extension UnsafeMutableBufferPointer {
  /// The `k`th of the runs of `count` elements.
  package func run(_ k: Int, of count: Int) -> Self { Self(rebasing: self[k * count..<(k + 1) * count]) }
}
