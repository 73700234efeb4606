import TMPackByteIO
import TMPackTensorKit

/// A few elements of a tensor, with one scale; the others are zero.
///
/// Decoding is defined to the bit: for a router weight w, g = w · scale, rounded to float32; then
/// acc_p = fma(g, value, acc_p), in the accumulator's type, for each stored position p.
package struct SparseFactor: Sendable, Hashable {
  /// Elements of the tensor.
  package let elementCount: Int
  /// How many of them are stored.
  package let count: Int
  package let dtype: FactorDType
  /// LEB128 gaps: the first position, then each one's distance to the one before, minus 1.
  package let positions: [UInt8]
  /// `count` elements.
  package let values: [UInt8]
  package let scale: Float
}

extension SparseFactor {
  /// A factor from an archive's arrays, checked.
  ///
  /// - Throws: `malformed` when the sizes do not belong together, a position is outside of the tensor or not encoded
  ///   minimally, or an element or the scale is not one that may occur.
  package init(
    positions: [UInt8], values: [UInt8], scale: Float, dtype: FactorDType, count: Int, elementCount: Int
  ) throws(StorageError) {
    guard count >= 0, count <= elementCount else {
      throw StorageError(.malformed, "a factor holds \(count) of \(elementCount) elements")
    }
    guard scale.isFinite else { throw StorageError(.malformed, "a factor's scale is not a finite number") }
    try dtype.validate(values, runs: 1, of: count, "values")
    try GapCoding.validate(positions, count: count, below: elementCount)
    self.elementCount = elementCount
    self.count = count
    self.dtype = dtype
    self.positions = positions
    self.values = values
    self.scale = scale
  }

  /// The `round(density · n)` elements largest in magnitude, but at least one, rounded to `dtype`; see `ElementScale`.
  ///
  /// Those that are zero, or become so, are left out.
  /// - Precondition: all values are finite, and 0 < `density` ≤ 1.
  package init(rounding values: UnsafeBufferPointer<Float>, density: Double, to dtype: FactorDType) {
    let wanted = max(1, Int((density * Double(values.count)).rounded()))
    let scale = ElementScale(dtype, largest: values.largestMagnitude)
    let smallest: Float = scale.dtype.largestInteger == nil ? 0 : 0.5
    let chosen = largestMagnitudes(wanted, of: values)
      .filter { (values[$0] * scale.reciprocal).magnitude > smallest }
    elementCount = values.count
    count = chosen.count
    self.dtype = scale.dtype
    positions = GapCoding.encode(chosen)
    self.values = chosen.map { values[$0] }.withUnsafeBufferPointer { scale.encode($0) }
    self.scale = scale.scale
  }

  /// Bytes of all arrays, the scale's among them.
  package var byteCount: Int { positions.count + values.count + 4 }
}

extension SparseFactor {
  /// Ascending.
  var allPositions: [Int] {
    [Int](unsafeUninitializedCapacity: count) { places, initialized in
      places.initialize(repeating: 0)
      var reader = GapCoding.Reader()
      positions.withUnsafeBufferPointer {
        reader.read($0, into: UnsafeMutableBufferPointer(rebasing: places[..<count]))
      }
      initialized = count
    }
  }

  /// In the order of the positions, not scaled.
  var allValues: [Float] {
    var all: [Float] = []
    all.reserveCapacity(count)
    dtype.forEachChunk(of: values, in: 0..<count) { _, chunk in all += chunk }
    return all
  }
}
