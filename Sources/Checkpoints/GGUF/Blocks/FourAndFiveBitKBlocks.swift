// 256 elements in 8 groups of 32, each with a scale and a minimum of six bits. Four bits of element 64·n + l are the
// low half of byte 32·n + l, those of element 64·n + 32 + l its high half. ggml-common.h: block_q4_K, block_q5_K.

/// The six-bit scale and minimum of a group, from the 12 bytes that hold all of them.
///
/// The first four groups have theirs in the low six bits of bytes 0–3 and 4–7; the last four in the halves of
/// bytes 8–11, with two more bits on top of the bytes before.
@inline(__always)
private func scaleAndMinimum(_ packed: UnsafeRawPointer, group: Int) -> (scale: Float, minimum: Float) {
  if group < 4 { return (Float(packed.byte(group) & 63), Float(packed.byte(group + 4) & 63)) }
  let halves = packed.byte(group + 4)
  return (
    Float(halves & 15 | packed.byte(group - 4) >> 2 & 0x30), Float(halves >> 4 | packed.byte(group) >> 2 & 0x30)
  )
}

/// d (2), dmin (2), scales and minima (12), quants (128): d · scale · q − dmin · minimum.
enum Q4_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 144

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    for group in 0..<8 {
      let own = scaleAndMinimum(block + 4, group: group)
      let groupScale = scale * own.scale
      let groupMinimum = minimum * own.minimum
      let source = block + 16 + group / 2 * 32
      let shift = UInt8(group % 2 * 4)
      let target = values + 32 * group
      for l in 0..<32 { target[l] = groupScale * Float(source.byte(l) &>> shift & 15) - groupMinimum }
    }
  }
}

/// d (2), dmin (2), scales and minima (12), fifth bits (32), quants (128): d · scale · q − dmin · minimum.
///
/// The fifth bit of element 32·b + l is bit b of byte l.
enum Q5_KBlock: QuantizedBlock {
  static let elementCount = 256
  static let byteCount = 176

  static func dequantize(_ block: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
    let scale = block.half(0)
    let minimum = block.half(2)
    let fifths = block + 16
    for group in 0..<8 {
      let own = scaleAndMinimum(block + 4, group: group)
      let groupScale = scale * own.scale
      let groupMinimum = minimum * own.minimum
      let source = block + 48 + group / 2 * 32
      let shift = UInt8(group % 2 * 4)
      let bit = UInt8(group)
      let target = values + 32 * group
      for l in 0..<32 {
        let quant = source.byte(l) &>> shift & 15 | (fifths.byte(l) &>> bit & 1) << 4
        target[l] = groupScale * Float(quant) - groupMinimum
      }
    }
  }
}
