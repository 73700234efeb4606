// A double rounded first to f32 and then to 16 bits can differ from one rounding by half a unit. Rounding to odd in
// the first step avoids it (Boldo and Melquiond, 2008).
@inlinable
func roundedToOdd(_ value: Double) -> Float {
  let nearest = Float(value)
  let back = Double(nearest)
  if back == value || value.isNaN || nearest.bitPattern & 1 == 1 { return nearest }
  if nearest.isInfinite { return value < 0 ? -Float.greatestFiniteMagnitude : Float.greatestFiniteMagnitude }
  // Inexact and even: the odd neighbour on the other side of the value.
  return back < value ? nearest.nextUp : nearest.nextDown
}

extension FloatFormat {
  /// Converts packed elements of this format exactly (f64 to `Float`: rounded to nearest even).
  ///
  /// - Precondition: `bytes` holds `values.count` elements; it may be unaligned.
  @inlinable
  package func widen<Scalar: Accumulator>(
    _ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Scalar>
  ) {
    precondition(bytes.count == values.count * byteWidth, "one value for each element")
    let count = values.count
    guard count > 0, let source = bytes.baseAddress, let target = values.baseAddress else { return }
    switch self {
    case .f64:
      for i in 0..<count {
        target[i] = Scalar(
          Double(bitPattern: UInt64(littleEndian: source.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self))))
      }
    case .f32:
      for i in 0..<count {
        target[i] = Scalar(
          Float(bitPattern: UInt32(littleEndian: source.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))))
      }
    case .f16:
      for i in 0..<count {
        target[i] = Scalar(
          Half.float(bits: UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))))
      }
    case .bf16:
      for i in 0..<count {
        target[i] = Scalar(
          BFloat16.float(bits: UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))))
      }
    }
  }

  /// Rounds each value once, to nearest even, and packs it. Overflow gives infinity, NaN the one of TMP-7-13.
  ///
  /// - Precondition: `bytes` has room for `values.count` elements; it may be unaligned.
  @inlinable
  package func round<Scalar: Accumulator>(
    _ values: UnsafeBufferPointer<Scalar>, into bytes: UnsafeMutableRawBufferPointer
  ) {
    precondition(bytes.count == values.count * byteWidth, "one element for each value")
    let count = values.count
    guard count > 0, let source = values.baseAddress, let target = bytes.baseAddress else { return }
    switch self {
    case .f64:
      for i in 0..<count {
        let value = source[i].asDouble
        target.storeBytes(
          of: (value.isNaN ? 0x7FF8 << 48 : value.bitPattern).littleEndian, toByteOffset: 8 * i, as: UInt64.self)
      }
    case .f32:
      for i in 0..<count {
        let value = source[i].asFloat
        target.storeBytes(
          of: (value.isNaN ? 0x7FC0_0000 : value.bitPattern).littleEndian, toByteOffset: 4 * i, as: UInt32.self)
      }
    case .f16:
      for i in 0..<count {
        target.storeBytes(of: Half.bits(source[i].narrowed).littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    case .bf16:
      for i in 0..<count {
        target.storeBytes(of: BFloat16.bits(source[i].narrowed).littleEndian, toByteOffset: 2 * i, as: UInt16.self)
      }
    }
  }

}

extension Accumulator {
  /// For a second rounding to a format with at least two bits less.
  @inline(__always) @usableFromInline
  var narrowed: Float { Self.self == Double.self ? roundedToOdd(asDouble) : asFloat }
}
