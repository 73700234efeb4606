import TMPackCKernels

extension FloatFormat {
  /// Converts packed elements of this format exactly (f64 to `Float`: rounded to nearest even).
  ///
  /// - Precondition: `bytes` holds `values.count` elements; it may be unaligned.
  package func widen<Scalar: Accumulator>(
    _ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Scalar>
  ) {
    precondition(bytes.count == values.count * byteWidth, "one value for each element")
    guard let source = bytes.baseAddress, let target = UnsafeMutableRawPointer(values.baseAddress) else { return }
    let isa = tmpack_best_isa()
    if Scalar.self == Float.self {
      tmpack_widen_f32(isa, element, source, target.assumingMemoryBound(to: Float.self), values.count)
    } else {
      precondition(Scalar.self == Double.self, "the other accumulator")
      tmpack_widen_f64(isa, element, source, target.assumingMemoryBound(to: Double.self), values.count)
    }
  }

  /// Rounds each value once, to nearest even, and packs it. Overflow gives infinity, NaN the one of TMP-7-13.
  ///
  /// - Precondition: `bytes` has room for `values.count` elements; it may be unaligned.
  package func round<Scalar: Accumulator>(
    _ values: UnsafeBufferPointer<Scalar>, into bytes: UnsafeMutableRawBufferPointer
  ) {
    precondition(bytes.count == values.count * byteWidth, "one element for each value")
    guard let source = UnsafeRawPointer(values.baseAddress), let target = bytes.baseAddress else { return }
    let isa = tmpack_best_isa()
    if Scalar.self == Float.self {
      tmpack_round_f32(isa, element, source.assumingMemoryBound(to: Float.self), target, values.count)
    } else {
      precondition(Scalar.self == Double.self, "the other accumulator")
      tmpack_round_f64(isa, element, source.assumingMemoryBound(to: Double.self), target, values.count)
    }
  }

  /// own − reference in binary32; elements of F64 are subtracted in binary64 and then rounded. 0 where they are equal,
  /// infinities too.
  ///
  /// - Precondition: `own` and `reference` hold `values.count` elements each; they may be unaligned.
  package func subtract(
    _ reference: UnsafeRawBufferPointer, from own: UnsafeRawBufferPointer,
    into values: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(own.count == values.count * byteWidth && reference.count == own.count, "one value for each element")
    guard let target = values.baseAddress else { return }
    tmpack_difference_f32(tmpack_best_isa(), element, own.baseAddress, reference.baseAddress, target, values.count)
  }

  /// Whether no element is NaN or infinite. `bytes` may be unaligned.
  package func isFinite(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let elements = bytes.baseAddress else { return true }
    return tmpack_is_finite(tmpack_best_isa(), element, elements, bytes.count / byteWidth)
  }

  private var element: tmpack_element {
    switch self {
    case .f64: TMPACK_F64
    case .f32: TMPACK_F32
    case .f16: TMPACK_F16
    case .bf16: TMPACK_BF16
    }
  }
}

extension Accumulator {
  /// For a second rounding to a format with at least two bits less.
  @inline(__always)
  var narrowed: Float { Self.self == Double.self ? roundedToOdd(asDouble) : asFloat }
}

// A double rounded first to f32 and then to 8 bits can differ from one rounding by half a unit. Rounding to odd in
// the first step avoids it (Boldo and Melquiond, 2008).
private func roundedToOdd(_ value: Double) -> Float {
  let nearest = Float(value)
  let back = Double(nearest)
  if back == value || value.isNaN || nearest.bitPattern & 1 == 1 { return nearest }
  if nearest.isInfinite { return value < 0 ? -Float.greatestFiniteMagnitude : Float.greatestFiniteMagnitude }
  // Inexact and even: the odd neighbour on the other side of the value.
  return back < value ? nearest.nextUp : nearest.nextDown
}
