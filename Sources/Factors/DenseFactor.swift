import TMPackByteIO
import TMPackTensorKit

/// Every element of a tensor, in a smaller type, with one scale.
///
/// Decoding is defined to the bit: for a router weight w, g = w · scale, rounded to float32; then
/// accᵢ = fma(g, valueᵢ, accᵢ) in the accumulator's type.
package struct DenseFactor: Sendable, Hashable {
  /// Elements of the tensor.
  package let count: Int
  package let dtype: FactorDType
  /// `count` elements.
  package let values: [UInt8]
  package let scale: Float
}

extension DenseFactor {
  /// A factor from an archive's arrays, checked.
  ///
  /// - Throws: `malformed` when the sizes do not belong together, or an element or the scale is not one that may occur.
  package init(values: [UInt8], scale: Float, dtype: FactorDType, count: Int) throws(StorageError) {
    guard count >= 0 else { throw StorageError(.malformed, "a factor has \(count) elements") }
    guard scale.isFinite else { throw StorageError(.malformed, "a factor's scale is not a finite number") }
    try dtype.validate(values, runs: 1, of: count, "values")
    self.count = count
    self.dtype = dtype
    self.values = values
    self.scale = scale
  }

  /// The nearest elements of `dtype`, or of f32 for values at the ends of its range; see `ElementScale`.
  ///
  /// - Precondition: all values are finite.
  package init(rounding values: UnsafeBufferPointer<Float>, to dtype: FactorDType) {
    let scale = ElementScale(dtype, largest: values.largestMagnitude)
    count = values.count
    self.dtype = scale.dtype
    self.values = scale.encode(values)
    self.scale = scale.scale
  }

  /// Bytes of all arrays, the scale's among them.
  package var byteCount: Int { values.count + 4 }
}

extension DenseFactor {
  /// Adds the elements from `start` on, an even number.
  func accumulate<Scalar: FactorAccumulator>(
    weight: Float, into run: UnsafeMutableBufferPointer<Scalar>, from start: Int, using isa: InstructionSet
  ) {
    let gain = weight * scale
    dtype.forEachChunk(of: values, in: start..<start + run.count) { first, chunk in
      Scalar.accumulateDense(
        isa, run.baseAddress! + (first - start), chunk.baseAddress!, count: chunk.count, gain: gain)
    }
  }
}

extension FactorDType {
  /// Elements that are widened at a time: what stays in the first-level cache. Even, so that nibbles stay paired.
  private static var chunk: Int { 2048 }

  /// Calls `body` with the widened values, some at a time, and the index of the first.
  ///
  /// - Parameter range: of elements; begins at an even one.
  func forEachChunk(
    of bytes: [UInt8], in range: Range<Int>, _ body: (_ start: Int, UnsafeBufferPointer<Float>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.chunk) { buffer in
      bytes.withUnsafeBytes { bytes in
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
          let values = UnsafeMutableBufferPointer(rebasing: buffer[..<min(Self.chunk, range.upperBound - start)])
          let first = start * bitWidth / 8
          let size = (values.count * bitWidth + 7) / 8
          widen(UnsafeRawBufferPointer(rebasing: bytes[first..<first + size]), into: values)
          body(start, UnsafeBufferPointer(values))
        }
      }
    }
  }
}
