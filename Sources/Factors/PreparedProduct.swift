/// A low-rank factor in float32: all that does not depend on its weight.
package struct PreparedProduct: Sendable {
  package let rows: Int
  /// rows × rank, row-major, without the scales.
  private let left: [Float]
  private let scales: [Float]
  package let right: RightSide

  /// - Parameters:
  ///   - left: a component after the other.
  ///   - right: a component after the other.
  init(left: [Float], right: [Float], scales: [Float], rows: Int, columns: Int) {
    self.rows = rows
    self.left = left.transposed(rows: scales.count, columns: rows)
    self.scales = scales
    self.right = RightSide(right, rank: scales.count, columns: columns)
  }

  /// Of float32 numbers, with those in the kernel's order.
  var byteCount: Int { 4 * (left.count + 2 * right.values.count) }

  /// aᵢₖ = (weight · scaleₖ) · leftᵢₖ, each rounded to float32 (TMP-7-5).
  package func weighted(_ weight: Float) -> WeightedProduct {
    let gains = scales.map { weight * $0 }
    let coefficients = FixedFloats(count: left.count) { target in
      left.withUnsafeBufferPointer { left in
        gains.withUnsafeBufferPointer { gains in
          for start in stride(from: 0, to: left.count, by: gains.count) {
            for k in 0..<gains.count { target[start + k] = gains[k] * left[start + k] }
          }
        }
      }
    }
    return WeightedProduct(rows: rows, left: coefficients, right: right)
  }
}

extension LowRankFactor {
  package var prepared: PreparedProduct {
    func widened(_ bytes: [UInt8], _ length: Int) -> [Float] {
      [Float](unsafeUninitializedCapacity: rank * length) { values, initialized in
        let run = bytes.count / rank
        bytes.withUnsafeBytes { bytes in
          for k in 0..<rank {
            dtype.widen(
              UnsafeRawBufferPointer(rebasing: bytes[k * run..<(k + 1) * run]), into: values.run(k, of: length))
          }
        }
        initialized = rank * length
      }
    }
    return PreparedProduct(
      left: widened(left, rows), right: widened(right, columns), scales: (0..<rank).map(scale), rows: rows,
      columns: columns)
  }
}

extension QuantizedLowRankFactor {
  package var prepared: PreparedProduct {
    PreparedProduct(
      left: left.map(Float.init), right: right.map(Float.init), scales: scales, rows: rows, columns: columns)
  }
}
