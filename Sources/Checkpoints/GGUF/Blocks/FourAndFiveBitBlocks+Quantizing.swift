import TMPackTensorKit

/// Truncates, with bounds that also catch what becomes of 0 · ∞.
@inline(__always)
private func quant(_ value: Float, most: Float) -> UInt8 { UInt8(min(most, max(0, value))) }

/// The least and the largest of 32 elements become 0 and `most`: `quantize_row_q4_1_ref`, `quantize_row_q5_1_ref`.
///
/// - Returns: the quants; nil when a scale is too large for half precision.
private func ranged(_ values: UnsafePointer<Float>, most: Float, into block: UnsafeMutableRawPointer) -> [UInt8]? {
  var (low, high) = (values[0], values[0])
  for j in 1..<32 {
    if values[j] < low { low = values[j] }
    if values[j] > high { high = values[j] }
  }
  let scale = (high - low) / most
  let inverse = scale == 0 ? 0 : 1 / scale
  let bits = (Half.bits(scale), Half.bits(low))
  block.storeBytes(of: bits.0.littleEndian, as: UInt16.self)
  block.storeBytes(of: bits.1.littleEndian, toByteOffset: 2, as: UInt16.self)
  guard bits.0 & 0x7FFF < 0x7C00, bits.1 & 0x7FFF < 0x7C00 else { return nil }
  return (0..<32).map { quant((values[$0] - low) * inverse + 0.5, most: most) }
}

/// Low halves of 32 quants, pairs 16 apart.
private func store(_ quants: [UInt8], into block: UnsafeMutableRawPointer, at start: Int) {
  for j in 0..<16 {
    block.storeBytes(of: quants[j] & 15 | (quants[j + 16] & 15) << 4, toByteOffset: start + j, as: UInt8.self)
  }
}

private func storeFifths(_ quants: [UInt8], into block: UnsafeMutableRawPointer, at start: Int) {
  var fifths: UInt32 = 0
  for j in 0..<32 { fifths |= UInt32(quants[j] >> 4) << UInt32(j) }
  block.storeBytes(of: fifths.littleEndian, toByteOffset: start, as: UInt32.self)
}

extension Q4_1Block: QuantizableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    guard let quants = ranged(values, most: 15, into: block) else { return false }
    store(quants, into: block, at: 4)
    return true
  }
}

extension Q5_1Block: QuantizableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    guard let quants = ranged(values, most: 31, into: block) else { return false }
    storeFifths(quants, into: block, at: 4)
    store(quants, into: block, at: 8)
    return true
  }
}

extension Q5_0Block: QuantizableBlock {
  /// The value of the largest magnitude, the first of equals, becomes −16: `quantize_row_q5_0_ref`.
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    var extreme: Float = 0
    for j in 0..<elementCount where values[j].magnitude > extreme.magnitude { extreme = values[j] }
    let scale = extreme / -16
    let inverse = scale == 0 ? 0 : 1 / scale
    let bits = Half.bits(scale)
    block.storeBytes(of: bits.littleEndian, as: UInt16.self)
    let quants = (0..<32).map { quant(values[$0] * inverse + 16.5, most: 31) }
    storeFifths(quants, into: block, at: 2)
    store(quants, into: block, at: 6)
    return bits & 0x7FFF < 0x7C00
  }
}
