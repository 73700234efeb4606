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

// MARK: With importance

/// What `quantize_row_q4_0_impl` and its like minimise the error by: importance · √(the row's mean square + x²).
private func withWeights<Result>(
  _ values: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ rowMeanSquare: Float,
  _ body: (UnsafePointer<Float>) -> Result
) -> Result {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { weights in
    for j in 0..<32 { weights[j] = importance[j] * (rowMeanSquare + values[j] * values[j]).squareRoot() }
    return body(UnsafePointer(weights.baseAddress!))
  }
}

/// Quants from 0 to 2 · `most` − 1, and the scale at the front of the block; nil when that is too large for half precision.
private func centred(
  _ values: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ rowMeanSquare: Float, most: Int32,
  into block: UnsafeMutableRawPointer
) -> [UInt8]? {
  let (scale, rounding) = withWeights(values, importance, rowMeanSquare) {
    GroupSearch.scale(values, weights: $0, elements: 32, most: most)
  }
  let bits = Half.bits(scale)
  block.storeBytes(of: bits.littleEndian, as: UInt16.self)
  guard bits & 0x7FFF < 0x7C00 else { return nil }
  // Of zeros nothing is searched, and they are the lowest quants, as in ggml.
  guard rounding.inverse != 0 else { return [UInt8](repeating: 0, count: 32) }
  return (0..<32).map { UInt8(rounding.quant(values[$0], from: -most, to: most - 1) + most) }
}

/// The same of a scale and a minimum.
private func ranged(
  _ values: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ rowMeanSquare: Float, most: Int32,
  into block: UnsafeMutableRawPointer
) -> [UInt8]? {
  let (scale, minimum, rounding) = withWeights(values, importance, rowMeanSquare) {
    GroupSearch.scaleAndMinimum(
      values, weights: $0, elements: 32, most: most, first: -0.9, step: 0.05, count: 36)
  }
  let bits = (Half.bits(scale), Half.bits(-minimum))
  block.storeBytes(of: bits.0.littleEndian, as: UInt16.self)
  block.storeBytes(of: bits.1.littleEndian, toByteOffset: 2, as: UInt16.self)
  guard bits.0 & 0x7FFF < 0x7C00, bits.1 & 0x7FFF < 0x7C00 else { return nil }
  return (0..<32).map { UInt8(rounding.quant(values[$0], from: 0, to: most)) }
}

extension Q4_0Block: WeightableBlock {
  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool {
    guard let quants = centred(values, importance, rowMeanSquare, most: 8, into: block) else { return false }
    store(quants, into: block, at: 2)
    return true
  }
}

extension Q5_0Block: WeightableBlock {
  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool {
    guard let quants = centred(values, importance, rowMeanSquare, most: 16, into: block) else { return false }
    storeFifths(quants, into: block, at: 2)
    store(quants, into: block, at: 6)
    return true
  }
}

extension Q4_1Block: WeightableBlock {
  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool {
    guard let quants = ranged(values, importance, rowMeanSquare, most: 15, into: block) else { return false }
    store(quants, into: block, at: 4)
    return true
  }
}

extension Q5_1Block: WeightableBlock {
  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool {
    guard let quants = ranged(values, importance, rowMeanSquare, most: 31, into: block) else { return false }
    storeFifths(quants, into: block, at: 4)
    store(quants, into: block, at: 8)
    return true
  }
}
