import TMPackTensorKit

// 256 elements of −1, 0 and 1. ggml-common.h: block_tq1_0, block_tq2_0.

/// Five elements a byte (48), four a byte (4), d (2): d · (digit − 1).
///
/// A byte is a fraction of 256 whose digits to the base of 3 are the elements: multiplying by 3ⁿ (modulo 256) and
/// looking at what a further 3 carries over gives digit n. 160 elements are in the first 32 bytes, 80 in the next 16,
/// 16 in the last 4, the same digit of all bytes of a part side by side.
enum TQ1_0Block: QuantizableBlock {
  static let elementCount = 256
  static let byteCount = 54

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(52)
    part(block, bytes: 32, digits: 5, scale, into: values)
    part(block + 32, bytes: 16, digits: 5, scale, into: values + 160)
    part(block + 48, bytes: 4, digits: 4, scale, into: values + 240)
  }

  @inline(__always)
  private static func part(
    _ source: UnsafeRawPointer, bytes: Int, digits: Int, _ scale: Float, into values: UnsafeMutablePointer<Float>
  ) {
    var power: UInt8 = 1
    for digit in 0..<digits {
      let target = values + digit * bytes
      for l in 0..<bytes {
        let carried = (UInt16(source.byte(l) &* power) &* 3) >> 8
        target[l] = scale * Float(Int32(carried) - 1)
      }
      power = power &* 3
    }
  }
}

/// Quants (64, two bits each), d (2): d · (q − 1). Bits are where those of Q2_K are.
enum TQ2_0Block: QuantizableBlock {
  static let elementCount = 256
  static let byteCount = 66

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(64)
    for group in 0..<8 {
      let source = block + group / 4 * 32
      let shift = UInt8(group % 4 * 2)
      let target = values + 32 * group
      for l in 0..<32 { target[l] = scale * Float(Int32(source.byte(l) &>> shift & 3) - 1) }
    }
  }
}

/// 0, 1 and 2 for the nearest of −1, 0 and 1 times the largest magnitude, halves away from zero, and that: as
/// `quantize_row_tq1_0_ref` and `quantize_row_tq2_0_ref` have them.
private func digits(_ values: UnsafePointer<Float>) -> (digits: [UInt8], scale: UInt16) {
  var largest: Float = 0
  for j in 0..<256 { largest = max(largest, values[j].magnitude) }
  let inverse = largest == 0 ? 0 : 1 / largest
  let digits = (0..<256).map { j in
    // The bounds also catch what becomes of 0 · ∞.
    UInt8(min(1, max(-1, (values[j] * inverse).rounded(.toNearestOrAwayFromZero))) + 1)
  }
  return (digits, Half.bits(largest))
}

extension TQ1_0Block {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    let (digits, scale) = digits(values)
    for (start, bytes, count, first) in [(0, 32, 5, 0), (160, 16, 5, 32), (240, 4, 4, 48)] {
      for byte in 0..<bytes {
        var number: UInt16 = 0
        for digit in 0..<5 {
          number = number * 3 + (digit < count ? UInt16(digits[start + digit * bytes + byte]) : 0)
        }
        // The fraction, rounded up.
        block.storeBytes(of: UInt8((number * 256 + 242) / 243), toByteOffset: first + byte, as: UInt8.self)
      }
    }
    block.storeBytes(of: scale.littleEndian, toByteOffset: 52, as: UInt16.self)
    return scale < 0x7C00
  }
}

extension TQ2_0Block {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    let (digits, scale) = digits(values)
    for byte in 0..<64 {
      let first = byte / 32 * 128 + byte % 32
      let pack = (0..<4).reduce(UInt8(0)) { $0 | digits[first + 32 * $1] << UInt8(2 * $1) }
      block.storeBytes(of: pack, toByteOffset: byte, as: UInt8.self)
    }
    block.storeBytes(of: scale.littleEndian, toByteOffset: 64, as: UInt16.self)
    return scale < 0x7C00
  }
}
