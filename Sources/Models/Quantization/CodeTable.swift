import TMPackTensorKit

/// What the codes of a format stand for, by code.
enum CodeTable {
  /// Signed integers of up to 8 bits kept with an offset of half their range.
  static func offsetIntegers(bits: Int) -> [Float] { (0..<1 << bits).map { Float($0 - 1 << (bits - 1)) } }

  static func integers(bits: Int) -> [Float] { (0..<1 << bits).map(Float.init) }

  /// Two's complement.
  static let signedBytes: [Float] = (0..<256).map { Float(Int8(truncatingIfNeeded: $0)) }

  /// Of 4 bits: sign, two of exponent, one of fraction (OCP Microscaling Formats 1.0).
  static let e2m1 = small(exponentBits: 2, fractionBits: 1, bias: 1)
  /// Of 6 bits: sign, two of exponent, three of fraction.
  static let e2m3 = small(exponentBits: 2, fractionBits: 3, bias: 1)
  static let e4m3: [Float] = (0...255).map { Float8.e4m3.float(bits: $0) }
  static let e5m2: [Float] = (0...255).map { Float8.e5m2.float(bits: $0) }
  /// Without negative zero, whose code is NaN, and with a bias larger by one.
  static let e4m3fnuz = unsignedZero(small(exponentBits: 4, fractionBits: 3, bias: 8))
  static let e5m2fnuz = unsignedZero(small(exponentBits: 5, fractionBits: 2, bias: 16))
  /// Powers of two; the last is NaN.
  static let e8m0: [Float] = (0..<255).map { Float(sign: .plus, exponent: $0 - 127, significand: 1) } + [.nan]

  /// Nil for a dtype whose elements are not codes of up to 8 bits.
  static func of(_ dtype: DType) -> [Float]? {
    switch dtype {
    case .f4: e2m1
    case .f6e2m3: e2m3
    case .f8e4m3: e4m3
    case .f8e5m2: e5m2
    case .f8e4m3fnuz: e4m3fnuz
    case .f8e5m2fnuz: e5m2fnuz
    case .f8e8m0: e8m0
    case .i8: signedBytes
    default: nil
    }
  }

  /// Numbers without infinities or NaN.
  private static func small(exponentBits: Int, fractionBits: Int, bias: Int) -> [Float] {
    let half = 1 << (exponentBits + fractionBits)
    let magnitudes = (0..<half).map { code -> Float in
      let exponent = code >> fractionBits
      let fraction = Float(code & (1 << fractionBits - 1)) / Float(1 << fractionBits)
      return Float(
        sign: .plus, exponent: max(exponent, 1) - bias, significand: exponent == 0 ? fraction : 1 + fraction)
    }
    return magnitudes + magnitudes.map { -$0 }
  }

  private static func unsignedZero(_ table: [Float]) -> [Float] {
    var table = table
    table[table.count / 2] = .nan
    return table
  }
}
