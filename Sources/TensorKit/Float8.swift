/// Floats of eight bits (OCP 8-bit Floating Point Specification 1.0).
@usableFromInline
package enum Float8: Sendable, Hashable, CaseIterable {
  /// Four bits of exponent, three of fraction; no infinity, one NaN of each sign: "E4M3FN" elsewhere.
  case e4m3
  /// Five bits of exponent, two of fraction; infinities and NaN as IEEE 754 has them.
  case e5m2

  @usableFromInline
  var fractionBits: UInt32 { self == .e4m3 ? 3 : 2 }

  /// What is added to an exponent.
  @usableFromInline
  var bias: UInt32 { self == .e4m3 ? 7 : 15 }

  /// The largest number.
  package var largest: Float { self == .e4m3 ? 448 : 57344 }

  /// Exact.
  @inlinable
  package func float(bits: UInt8) -> Float {
    let sign = UInt32(bits & 0x80) << 24
    let magnitude = UInt32(bits & 0x7F)
    let exponent = magnitude >> fractionBits
    let fraction = magnitude & (1 << fractionBits - 1)
    let value: Float
    if exponent == 0 {
      // Zero or subnormal: a multiple of the smallest number.
      let smallest = Float(bitPattern: (128 - bias - fractionBits) << 23)
      value = Float(fraction) * smallest
    } else if self == .e4m3 && magnitude == 0x7F {
      value = .nan
    } else if self == .e5m2 && exponent == 31 {
      value = fraction == 0 ? .infinity : .nan
    } else {
      value = Float(bitPattern: (exponent + 127 - bias) << 23 | fraction << (23 - fractionBits))
    }
    return Float(bitPattern: value.bitPattern | sign)
  }

  /// Rounds to nearest even. What is too large, and an infinity, gives infinity, or NaN where there is none. NaN gives
  /// the quiet one without a sign.
  @inlinable
  package func bits(_ value: Float) -> UInt8 {
    let pattern = value.bitPattern
    let sign = UInt8(truncatingIfNeeded: pattern >> 24) & 0x80
    let magnitude = pattern & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return self == .e4m3 ? 0x7F : 0x7E }
    // Halfway to the number after the largest: a tie goes to the even one, 448 but not 57344.
    if self == .e4m3 {
      if Float(bitPattern: magnitude) > 464 { return sign | 0x7F }
    } else {
      if Float(bitPattern: magnitude) >= 61440 { return sign | 0x7C }
    }
    let lowest = (128 - bias) << 23
    if magnitude < lowest {
      // Subnormal result: adding 2²³ times the smallest number leaves the value, rounded to a multiple of it, in the
      // low bits.
      let shift = Float(bitPattern: (151 - bias - fractionBits) << 23)
      let shifted = Float(bitPattern: magnitude) + shift
      return sign | UInt8(truncatingIfNeeded: shifted.bitPattern &- shift.bitPattern)
    }
    let dropped = 23 - fractionBits
    let rounded = magnitude &+ (1 << (dropped - 1) - 1) &+ (magnitude >> dropped & 1)
    return sign | UInt8(truncatingIfNeeded: (rounded &- (127 - bias) << 23) >> dropped)
  }
}
