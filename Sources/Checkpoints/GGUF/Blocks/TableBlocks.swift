#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// Four bits that number a value of a table. ggml-common.h: block_iq4_nl, block_iq4_xs, block_mxfp4.

/// Sixteen values in registers or on the stack, so that no array is reference-counted in a loop.
private typealias Table = SIMD16<Float>

/// `kvalues_iq4nl`: denser near zero.
private let nonlinear = Table(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/// Twice the values of an E2M1 float (OCP Microscaling Formats 1.0, 5.3.3): its scales are halved in turn. A code of
/// −0 gives +0.
private let e2m1 = Table(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

/// Sixteen bytes of pairs: the low halves come first.
@inline(__always)
private func look(_ table: Table, _ pairs: UnsafeRawPointer, _ scale: Float, into values: UnsafeMutablePointer<Float>) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { scaled in
    for j in 0..<16 { scaled[j] = scale * table[j] }
    for j in 0..<16 {
      let pair = pairs.byte(j)
      values[j] = scaled[Int(pair & 15)]
      values[j + 16] = scaled[Int(pair >> 4)]
    }
  }
}

/// d (2), quants (16) of 32 elements: d · table[q].
enum IQ4_NLBlock: QuantizedBlock {
  static let elementCount = 32
  static let byteCount = 18

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    look(nonlinear, block + 2, block.half(0), into: values)
  }
}

/// d (2), high two bits of the scales (2), their low four (4), quants (128) of 8 groups of 32:
/// d · (scale − 32) · table[q].
enum IQ4_XSBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 136

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let highs = UInt16(littleEndian: block.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    for group in 0..<8 {
      let low = Int32(block.byte(4 + group / 2) >> UInt8(group % 2 * 4) & 15)
      let high = Int32(highs >> UInt16(2 * group) & 3)
      look(nonlinear, block + 8 + 16 * group, scale * Float((low | high << 4) - 32), into: values + 32 * group)
    }
  }
}

/// A power of two (1, E8M0), quants (16) of 32 elements: 2^(e − 128) · table[q].
enum MXFP4Block: QuantizableBlock {
  static let elementCount = 32
  static let byteCount = 17

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let exponent = UInt32(block.byte(0))
    // The two smallest are subnormal. 255, which the standard keeps for NaN, is the power that follows, as in ggml.
    let bits = exponent < 2 ? 0x20_0000 << exponent : (exponent - 1) << 23
    look(e2m1, block + 1, Float(bitPattern: bits), into: values)
  }

  /// The exponent is that of the largest magnitude less two, and each element is the nearest of the table, the first of equals:
  /// `quantize_row_mxfp4_ref`.
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    var largest: Float = 0
    for j in 0..<elementCount { largest = max(largest, values[j].magnitude) }
    let exponent = largest > 0 ? UInt32(max(0, Int32(log2f(largest).rounded(.down)) + 125)) : 0
    let bits = exponent < 2 ? 0x20_0000 << exponent : (exponent - 1) << 23
    let scale = Float(bitPattern: bits)
    block.storeBytes(of: UInt8(exponent), as: UInt8.self)
    func code(_ value: Float) -> UInt8 {
      var best = 0
      var least = (e2m1[0] * scale - value).magnitude
      for index in 1..<16 {
        let error = (e2m1[index] * scale - value).magnitude
        if error < least { (best, least) = (index, error) }
      }
      return UInt8(best)
    }
    for j in 0..<16 {
      block.storeBytes(of: code(values[j]) | code(values[j + 16]) << 4, toByteOffset: 1 + j, as: UInt8.self)
    }
    return true
  }
}

/// Four scales (4, unsigned E4M3), quants (32) of four groups of 16, the first half of a group in low halves: scale ÷ 2 · table[q].
enum NVFP4Block: QuantizedBlock {
  static let elementCount = 64
  static let byteCount = 36

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    for group in 0..<4 {
      let scale = halfScale(block.byte(group))
      for j in 0..<8 {
        let pair = block.byte(4 + 8 * group + j)
        values[16 * group + j] = scale * e2m1[Int(pair & 15)]
        values[16 * group + 8 + j] = scale * e2m1[Int(pair >> 4)]
      }
    }
  }

  /// 127 is 0 to ggml, and the sign is passed over.
  private static func halfScale(_ byte: UInt8) -> Float {
    if byte == 0 || byte == 127 { return 0 }
    let (exponent, mantissa) = (Int(byte >> 3 & 15), Float(byte & 7))
    return exponent == 0
      ? mantissa * 0x1p-10 : (1 + mantissa / 8) * Float(sign: .plus, exponent: exponent - 8, significand: 1)
  }
}

/// d (2), signs (16) of 128 elements: d where the bit is set, else −d.
enum Q1_0Block: QuantizedBlock {
  static let elementCount = 128
  static let byteCount = 18

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for j in 0..<elementCount { values[j] = block.byte(2 + j / 8) >> UInt8(j % 8) & 1 == 0 ? -scale : scale }
  }
}
