// 32 elements, five bits each: four as in the four-bit blocks, the fifth of element j in bit j of a 32-bit word.
// ggml-common.h: block_q5_0, block_q5_1.

/// d (2), fifth bits (4), quants (16): d · (q − 16).
enum Q5_0Block: QuantizedBlock {
  static let elementCount = 32
  static let byteCount = 22

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let high = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
    for j in 0..<16 {
      let pair = UInt32(block.byte(6 + j))
      let low = pair & 15 | (high >> UInt32(j) & 1) << 4
      let upper = pair >> 4 | (high >> UInt32(j + 16) & 1) << 4
      values[j] = scale * Float(Int32(bitPattern: low) - 16)
      values[j + 16] = scale * Float(Int32(bitPattern: upper) - 16)
    }
  }
}

/// d (2), m (2), fifth bits (4), quants (16): d · q + m.
enum Q5_1Block: QuantizedBlock {
  static let elementCount = 32
  static let byteCount = 24

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    let high = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    for j in 0..<16 {
      let pair = UInt32(block.byte(8 + j))
      let low = pair & 15 | (high >> UInt32(j) & 1) << 4
      let upper = pair >> 4 | (high >> UInt32(j + 16) & 1) << 4
      values[j] = scale * Float(Int32(bitPattern: low)) + minimum
      values[j + 16] = scale * Float(Int32(bitPattern: upper)) + minimum
    }
  }
}
