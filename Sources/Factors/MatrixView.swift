import TMPackCKernels

/// A row-major matrix in memory that someone else owns.
package struct MatrixView {
  package let values: UnsafeBufferPointer<Float>
  package let rows: Int
  package let columns: Int

  package init(_ values: UnsafeBufferPointer<Float>, rows: Int, columns: Int) {
    precondition(rows > 0 && columns > 0 && values.count == rows * columns, "the shape is that of the values")
    self.values = values
    self.rows = rows
    self.columns = columns
  }

  package var base: UnsafePointer<Float> { values.baseAddress! }
  package var shortSide: Int { min(rows, columns) }
  package var longSide: Int { max(rows, columns) }

  /// ‖A‖², summed in float64.
  package func energy() -> Double {
    // Several partial sums: one alone would wait for each addition.
    var sums = SIMD8<Double>()
    let whole = values.count & ~7
    withUnsafeMutableBytes(of: &sums) {
      let lanes = $0.baseAddress!.assumingMemoryBound(to: Double.self)
      tmpack_sum_squares_f32(tmpack_best_isa(), base, whole, lanes)
    }
    for i in whole..<values.count { sums[0] += Double(values[i]) * Double(values[i]) }
    return sums.sum()
  }
}

extension UnsafeBufferPointer<Float> {
  /// The largest absolute value; infinity when any element is infinite or NaN.
  package var largestMagnitude: Float {
    guard let baseAddress else { return 0 }
    let bits = tmpack_largest_magnitude_f32(tmpack_best_isa(), baseAddress, count)
    return bits >= Float.infinity.bitPattern ? .infinity : Float(bitPattern: bits)
  }
}
