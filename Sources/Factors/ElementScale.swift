import TMPackTensorKit

/// The one scale that the elements of a dense or sparse factor share: value ≈ scale · element.
struct ElementScale {
  /// What the elements are stored as: the type asked for, or f32 for values at the ends of its range.
  package let dtype: FactorDType
  package let scale: Float
  /// What to multiply a value by before it is rounded to an element.
  let reciprocal: Float

  /// For values whose largest magnitude is `largest`.
  ///
  /// - Floats of 8 bits of exponent: 1.
  /// - f16: the power of two that brings the largest magnitude into [2¹⁴, 2¹⁵), so that only values 2⁻²⁹ times
  ///   smaller lose digits.
  /// - Integers: the largest magnitude becomes the largest integer.
  init(_ dtype: FactorDType, largest: Float) {
    self.dtype = largest == 0 || isWellWithinFloat32(Double(largest)) ? dtype : .f32
    scale =
      switch self.dtype {
      case _ where largest == 0: 1
      case .f32, .bf16: 1
      case .f16: Float(sign: .plus, exponent: Int(largest.exponent) - 14, significand: 1)
      case .int8, .int4: largest / dtype.largestInteger!
      }
    reciprocal = 1 / scale
  }

  /// Elements of `values`, in order.
  package func encode(_ values: UnsafeBufferPointer<Float>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity((values.count * dtype.bitWidth + 7) / 8)
    // Chunks of even length, so that nibbles stay paired.
    var chunk: [Float] = []
    for start in stride(from: 0, to: values.count, by: 4096) {
      chunk.replaceSubrange(
        0..., with: values[start..<min(start + 4096, values.count)].lazy.map { $0 * reciprocal })
      chunk.withUnsafeBufferPointer { dtype.append($0, to: &bytes) }
    }
    return bytes
  }
}

/// Whether a largest value leaves room, below for a scale that is a normal number and for small values that keep
/// their digits, above for rounding up.
func isWellWithinFloat32(_ largest: Double) -> Bool { largest >= 0x1p-100 && largest < 0x1p127 }

extension Float {
  /// Its four bytes, little-endian.
  package var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { Array($0) } }
}
