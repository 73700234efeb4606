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
}

extension UnsafeBufferPointer<Float> {
  /// The largest absolute value; infinity when any element is infinite or NaN.
  package var largestMagnitude: Float {
    // Magnitudes compare as their bits do, and integers vectorise where NaN-aware comparisons do not.
    var largest: UInt32 = 0
    for value in self { largest = Swift.max(largest, value.bitPattern & 0x7FFF_FFFF) }
    return largest >= Float.infinity.bitPattern ? .infinity : Float(bitPattern: largest)
  }
}
