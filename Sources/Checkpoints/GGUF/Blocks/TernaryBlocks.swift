// 256 elements of −1, 0 and 1. ggml-common.h: block_tq1_0, block_tq2_0.

/// Five elements a byte (48), four a byte (4), d (2): d · (digit − 1).
///
/// A byte is a fraction of 256 whose digits to the base of 3 are the elements: multiplying by 3ⁿ (modulo 256) and
/// looking at what a further 3 carries over gives digit n. 160 elements are in the first 32 bytes, 80 in the next 16,
/// 16 in the last 4, the same digit of all bytes of a part side by side.
enum TQ1_0Block: QuantizedBlock {
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
enum TQ2_0Block: QuantizedBlock {
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
