// 32 elements, five bits each: four as in the four-bit blocks, the fifth of element j in bit j of a 32-bit word.
// ggml-common.h: block_q5_0, block_q5_1.

/// Elements `j` and `j` + 16.
///
/// - Parameter pair: the low bits of both; `fifths`: the fifth bits of all.
@inline(__always)
private func quants(_ pair: UInt8, _ fifths: UInt32, _ j: Int) -> (first: Int32, second: Int32) {
  let pair = UInt32(pair)
  return (
    Int32(bitPattern: pair & 15 | (fifths >> UInt32(j) & 1) << 4),
    Int32(bitPattern: pair >> 4 | (fifths >> UInt32(j + 16) & 1) << 4)
  )
}

/// d (2), fifth bits (4), quants (16): d · (q − 16).
enum Q5_0Block: QuantizedBlock {
  static let elementCount = 32
  static let byteCount = 22

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let fifths = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
    for j in 0..<16 {
      let (first, second) = quants(block.byte(6 + j), fifths, j)
      values[j] = scale * Float(first - 16)
      values[j + 16] = scale * Float(second - 16)
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
    let fifths = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    for j in 0..<16 {
      let (first, second) = quants(block.byte(8 + j), fifths, j)
      values[j] = scale * Float(first) + minimum
      values[j + 16] = scale * Float(second) + minimum
    }
  }
}
