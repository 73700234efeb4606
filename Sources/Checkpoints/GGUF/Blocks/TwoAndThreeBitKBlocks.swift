// 256 elements in 16 groups of 16, each with its own scale. Two bits of element 128·n + 32·s + l are bits 2·s and
// 2·s + 1 of byte 32·n + l. ggml-common.h: block_q2_K, block_q3_K.

/// Scales and minima (16, four bits each), quants (64), d (2), dmin (2): d · scale · q − dmin · minimum.
enum Q2_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 84

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(80)
    let minimum = block.half(82)
    for group in 0..<16 {
      let packed = block.byte(group)
      let groupScale = scale * Float(packed & 15)
      let groupMinimum = minimum * Float(packed >> 4)
      let source = block + 16 + group / 8 * 32 + group % 2 * 16
      let shift = UInt8(group / 2 % 4 * 2)
      let target = values + 16 * group
      for l in 0..<16 { target[l] = groupScale * Float(source.byte(l) &>> shift & 3) - groupMinimum }
    }
  }
}

/// Third bits (32), quants (64), scales (12, six bits each), d (2): d · (scale − 32) · (q − 4).
///
/// The third bit of element 32·b + l is bit b of byte l.
enum Q3_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 110

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(108)
    for group in 0..<16 {
      // Low four bits: byte group % 8, its halves for the first and last eight. High two: byte 8 + group % 4.
      let low = block.byte(96 + group % 8) >> UInt8(group / 8 * 4) & 15
      let high = block.byte(104 + group % 4) >> UInt8(group / 4 * 2) & 3
      let groupScale = scale * Float(Int32(low | high << 4) - 32)
      let source = block + 32 + group / 8 * 32 + group % 2 * 16
      let thirds = block + group % 2 * 16
      let shift = UInt8(group / 2 % 4 * 2)
      let bit = UInt8(group / 2)
      let target = values + 16 * group
      for l in 0..<16 {
        let quant = source.byte(l) &>> shift & 3 | (thirds.byte(l) &>> bit & 1) << 2
        target[l] = groupScale * Float(Int32(quant) - 4)
      }
    }
  }
}
