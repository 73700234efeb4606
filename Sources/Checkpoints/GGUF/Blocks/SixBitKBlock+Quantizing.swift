import TMPackTensorKit

extension Q6_KBlock: WeightableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    quantize(values, weights: nil, into: block)
  }

  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare _: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool { quantize(values, weights: importance, into: block) }

  private static func quantize(
    _ values: UnsafePointer<Float>, weights: UnsafePointer<Float>?, into block: UnsafeMutableRawPointer
  ) -> Bool {
    var extreme: Float = 0
    var scales = [Float](repeating: 0, count: 16)
    var roundings = [GroupSearch.Rounding](repeating: .init(), count: 16)
    for group in 0..<16 {
      (scales[group], roundings[group]) = GroupSearch.scale(
        values + 16 * group, weights: weights.map { $0 + 16 * group }, elements: 16, most: 32)
      if scales[group].magnitude > extreme.magnitude { extreme = scales[group] }
    }
    guard extreme.magnitude >= GroupSearch.least else {
      for byte in 0..<byteCount { block.storeBytes(of: 0, toByteOffset: byte, as: UInt8.self) }
      return true
    }
    let inverse = -128 / extreme
    let bits = Half.bits(1 / inverse)
    guard bits & 0x7FFF < 0x7C00 else { return false }
    block.storeBytes(of: bits.littleEndian, toByteOffset: 208, as: UInt16.self)
    let d = Half.float(bits: bits)
    var quants = [UInt8](repeating: 0, count: 256)
    for group in 0..<16 {
      let scale = Int8(clamping: GroupSearch.nearest(inverse * scales[group]))
      block.storeBytes(of: scale, toByteOffset: 192 + group, as: Int8.self)
      let whole = d * Float(scale)
      guard whole != 0 else {
        // Whatever they are; those of the search, as ggml leaves them.
        let isZero = roundings[group].inverse == 0
        for l in 16 * group..<16 * group + 16 {
          quants[l] = isZero ? 0 : UInt8(roundings[group].quant(values[l], from: -32, to: 31) + 32)
        }
        continue
      }
      for l in 16 * group..<16 * group + 16 {
        quants[l] = UInt8(max(-32, min(31, GroupSearch.nearest(values[l] / whole))) + 32)
      }
    }
    for half in 0..<2 {
      for l in 0..<32 {
        let q = (0..<4).map { quants[128 * half + 32 * $0 + l] }
        block.storeBytes(of: q[0] & 15 | (q[2] & 15) << 4, toByteOffset: 64 * half + l, as: UInt8.self)
        block.storeBytes(of: q[1] & 15 | (q[3] & 15) << 4, toByteOffset: 64 * half + 32 + l, as: UInt8.self)
        let high = q[0] >> 4 | (q[1] >> 4) << 2 | (q[2] >> 4) << 4 | (q[3] >> 4) << 6
        block.storeBytes(of: high, toByteOffset: 128 + 32 * half + l, as: UInt8.self)
      }
    }
    return true
  }
}
