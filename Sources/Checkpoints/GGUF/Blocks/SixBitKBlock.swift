/// 256 elements in 16 groups of 16, each with a signed eight-bit scale. ggml-common.h: block_q6_K.
///
/// Low four bits (128), high two bits (64), scales (16), d (2): d · scale · (q − 32). With element 128·n + 32·s + l,
/// the low bits are in byte 64·n + 32·(s % 2) + l, in its high half for s ≥ 2; the high ones are bits 2·s and 2·s + 1
/// of byte 32·n + l.
enum Q6_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 210

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(208)
    for group in 0..<16 {
      let groupScale = scale * Float(block.signedByte(192 + group))
      let n = group / 8
      let s = group / 2 % 4
      let start = group % 2 * 16
      let low = block + 64 * n + 32 * (s % 2) + start
      let high = block + 128 + 32 * n + start
      let lowShift = UInt8(s / 2 * 4)
      let highShift = UInt8(2 * s)
      let target = values + 16 * group
      for l in 0..<16 {
        let quant = low.byte(l) &>> lowShift & 15 | (high.byte(l) &>> highShift & 3) << 4
        target[l] = groupScale * Float(Int32(quant) - 32)
      }
    }
  }
}
