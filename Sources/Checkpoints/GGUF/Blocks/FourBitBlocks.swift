import TMPackTensorKit

// 32 elements, four bits each: element j in the low half of byte j, element j + 16 in its high half.
// ggml-common.h: block_q4_0, block_q4_1.

/// d (2), quants (16): d · (q − 8).
enum Q4_0Block: QuantizableBlock {
  static let elementCount = 32
  static let byteCount = 18

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    for j in 0..<16 {
      let pair = block.byte(2 + j)
      values[j] = scale * Float(Int32(pair & 15) - 8)
      values[j + 16] = scale * Float(Int32(pair >> 4) - 8)
    }
  }

  /// The value of the largest magnitude, the first of equals, becomes −8: `quantize_row_q4_0_ref`.
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    var extreme: Float = 0
    for j in 0..<elementCount where values[j].magnitude > extreme.magnitude { extreme = values[j] }
    let scale = extreme / -8
    let inverse = scale == 0 ? 0 : 1 / scale
    let bits = Half.bits(scale)
    block.storeBytes(of: bits.littleEndian, as: UInt16.self)
    @inline(__always) func quant(_ value: Float) -> UInt8 {
      // A subnormal scale has no inverse; the bounds also catch what becomes of 0 · ∞.
      UInt8(min(15, max(0, value * inverse + 8.5)))
    }
    for j in 0..<16 {
      block.storeBytes(of: quant(values[j]) | quant(values[j + 16]) << 4, toByteOffset: 2 + j, as: UInt8.self)
    }
    return bits & 0x7FFF < 0x7C00
  }
}

/// d (2), m (2), quants (16): d · q + m.
enum Q4_1Block: QuantizedBlock {
  static let elementCount = 32
  static let byteCount = 20

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    for j in 0..<16 {
      let pair = block.byte(4 + j)
      values[j] = scale * Float(Int32(pair & 15)) + minimum
      values[j + 16] = scale * Float(Int32(pair >> 4)) + minimum
    }
  }
}
