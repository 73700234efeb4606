/// The floating-point types that arithmetic is done on.
public enum FloatFormat: Sendable, Hashable, CaseIterable {
  case f64, f32, f16, bf16

  public var dtype: DType {
    switch self {
    case .f64: .f64
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    }
  }

  public var byteWidth: Int { dtype.bitWidth / 8 }
}

/// A binary floating-point type that sums are kept in.
@usableFromInline
package protocol Accumulator: BinaryFloatingPoint, Sendable {
  init(_ value: Float)
  init(_ value: Double)
  var asFloat: Float { get }
  var asDouble: Double { get }
}
extension Float: Accumulator {
  @inlinable package var asFloat: Float { self }
  @inlinable package var asDouble: Double { Double(self) }
}
extension Double: Accumulator {
  @inlinable package var asFloat: Float { Float(self) }
  @inlinable package var asDouble: Double { self }
}

/// IEEE 754 half precision as bits. Swift's `Float16` does not exist on Intel Macs, so the bits are handled here.
@usableFromInline
package enum Half {
  /// Exact.
  @inlinable
  package static func float(bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    if exponent == 0 {
      // Zero or subnormal: fraction · 2⁻²⁴.
      let magnitude = Float(fraction) * 0x1p-24
      return Float(bitPattern: magnitude.bitPattern | sign)
    }
    let wide = exponent == 0x1F ? 0xFF : exponent + 112
    return Float(bitPattern: sign | wide << 23 | fraction << 13)
  }

  /// Rounds to nearest even; overflow gives infinity, NaN the one of TMP-7-13.
  @inlinable
  package static func bits(_ value: Float) -> UInt16 {
    let pattern = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: pattern >> 16) & 0x8000
    let magnitude = pattern & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return 0x7E00 }
    if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
    if magnitude < 0x3880_0000 {
      // Subnormal result: adding 0.5 leaves the value, rounded to a multiple of 2⁻²⁴, in the low bits.
      let shifted = Float(bitPattern: magnitude) + 0.5
      return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- Float(0.5).bitPattern)
    }
    let rounded = magnitude &+ 0xFFF &+ (magnitude >> 13 & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
  }
}

/// bfloat16 as bits: the upper half of a `Float`.
@usableFromInline
package enum BFloat16 {
  /// Exact.
  @inlinable
  package static func float(bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  /// Rounds to nearest even; overflow gives infinity, NaN the one of TMP-7-13.
  @inlinable
  package static func bits(_ value: Float) -> UInt16 {
    let pattern = value.bitPattern
    if pattern & 0x7FFF_FFFF > 0x7F80_0000 { return 0x7FC0 }
    return UInt16(truncatingIfNeeded: (pattern &+ 0x7FFF &+ (pattern >> 16 & 1)) >> 16)
  }
}
