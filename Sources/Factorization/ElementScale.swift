import TensorKit

/// The one scale that the elements of a dense or sparse factor share: value ≈ scale · element.
struct ElementScale {
  /// What the elements are stored as: the type asked for, or f32 where its scale would not be a normal float32.
  let dtype: FactorDType
  let scale: Float
  /// What to multiply a value by before it is rounded to an element.
  let reciprocal: Float

  /// For values whose largest magnitude is `largest`.
  ///
  /// - f32: 1.
  /// - bf16: 1, or 2 where the largest value would round to infinity.
  /// - f16: the power of two that brings the largest magnitude into [2¹⁴, 2¹⁵), so that only values 2⁻²⁹ times
  ///   smaller lose digits.
  /// - Integers: the largest magnitude becomes the largest integer.
  init(_ dtype: FactorDType, largest: Float) {
    let scale: Float
    switch dtype {
    case .f32: scale = 1
    case .bf16: scale = largest >= 0x1p127 ? 2 : 1
    case .f16: scale = largest > 0 ? Float(sign: .plus, exponent: Int(largest.exponent) - 14, significand: 1) : 1
    case .int8, .int4: scale = largest > 0 ? largest / dtype.largestInteger! : 1
    }
    if isStorable(scale: scale) {
      self.dtype = dtype
      self.scale = scale
      reciprocal = 1 / scale
    } else {
      self.dtype = .f32
      self.scale = 1
      reciprocal = 1
    }
  }

  /// Elements of `values`, in order.
  func encode(_ values: UnsafeBufferPointer<Float>) -> [UInt8] {
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

/// Whether a scale keeps all of float32's digits: a normal number.
func isStorable(scale: Float) -> Bool { scale.isNormal }

extension Float {
  /// Its four bytes, little-endian.
  var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { Array($0) } }
}
