import TMPackTensorKit

/// Eight groups of 32 with a scale and a minimum of six bits each, as Q4_K and Q5_K have them.
private struct GroupedQuants {
  var quants = [UInt8](repeating: 0, count: 256)
  var isFinite = true

  /// Writes d, dmin, scales and minima to the first 16 bytes of a block.
  init(
    _ values: UnsafePointer<Float>, most: Int32, first: Float, count: Int, into block: UnsafeMutableRawPointer
  ) {
    var scales = [Float](repeating: 0, count: 8)
    var minima = scales
    var roundings = [GroupSearch.Rounding](repeating: .init(), count: 8)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { weights in
      for group in 0..<8 {
        let x = values + 32 * group
        var squares: Float = 0
        for l in 0..<32 { squares += x[l] * x[l] }
        let mean = (squares / 32).squareRoot()
        for l in 0..<32 { weights[l] = mean + x[l].magnitude }
        (scales[group], minima[group], roundings[group]) = GroupSearch.scaleAndMinimum(
          x, weights: UnsafePointer(weights.baseAddress!), elements: 32, most: most, first: first, step: 0.1,
          count: count)
      }
    }
    // Never −0.
    func largest(_ values: [Float]) -> Float { values.reduce(0) { $1 > $0 ? $1 : $0 } }
    let largest = (scale: largest(scales), minimum: largest(minima))
    let inverseScale = largest.scale > 0 ? 63 / largest.scale : 0
    let inverseMinimum = largest.minimum > 0 ? 63 / largest.minimum : 0
    let packed = (block + 4).bindMemory(to: UInt8.self, capacity: 12)
    for byte in 0..<12 { packed[byte] = 0 }
    var own: [(scale: UInt8, minimum: UInt8)] = []
    for group in 0..<8 {
      let scale = UInt8(clamping: min(63, GroupSearch.nearest(inverseScale * scales[group])))
      let minimum = UInt8(clamping: min(63, GroupSearch.nearest(inverseMinimum * minima[group])))
      own.append((scale, minimum))
      if group < 4 {
        packed[group] = scale
        packed[group + 4] = minimum
      } else {
        packed[group + 4] = scale & 15 | (minimum & 15) << 4
        packed[group - 4] |= (scale >> 4) << 6
        packed[group] |= (minimum >> 4) << 6
      }
    }
    let bits = (Half.bits(largest.scale / 63), Half.bits(largest.minimum / 63))
    block.storeBytes(of: bits.0.littleEndian, as: UInt16.self)
    block.storeBytes(of: bits.1.littleEndian, toByteOffset: 2, as: UInt16.self)
    isFinite = bits.0 & 0x7FFF < 0x7C00 && bits.1 & 0x7FFF < 0x7C00
    guard isFinite else { return }
    let (d, dmin) = (Half.float(bits: bits.0), Half.float(bits: bits.1))
    for group in 0..<8 {
      let scale = d * Float(own[group].scale)
      guard scale != 0 else {
        // Whatever they are; those of the search, as ggml leaves them.
        for l in 32 * group..<32 * group + 32 {
          quants[l] = UInt8(roundings[group].quant(values[l], from: 0, to: most))
        }
        continue
      }
      let minimum = dmin * Float(own[group].minimum)
      for l in 32 * group..<32 * group + 32 {
        quants[l] = UInt8(max(0, min(most, GroupSearch.nearest((values[l] + minimum) / scale))))
      }
    }
  }
}

extension Q4_KBlock: QuantizableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    let grouped = GroupedQuants(values, most: 15, first: -1, count: 20, into: block)
    for pair in 0..<4 {
      for l in 0..<32 {
        let byte = grouped.quants[64 * pair + l] | grouped.quants[64 * pair + 32 + l] << 4
        block.storeBytes(of: byte, toByteOffset: 16 + 32 * pair + l, as: UInt8.self)
      }
    }
    return grouped.isFinite
  }
}

extension Q5_KBlock: QuantizableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    let grouped = GroupedQuants(values, most: 31, first: -0.5, count: 15, into: block)
    for l in 0..<32 {
      var fifths: UInt8 = 0
      for group in 0..<8 { fifths |= (grouped.quants[32 * group + l] >> 4) << UInt8(group) }
      block.storeBytes(of: fifths, toByteOffset: 16 + l, as: UInt8.self)
      for pair in 0..<4 {
        let byte = grouped.quants[64 * pair + l] & 15 | (grouped.quants[64 * pair + 32 + l] & 15) << 4
        block.storeBytes(of: byte, toByteOffset: 48 + 32 * pair + l, as: UInt8.self)
      }
    }
    return grouped.isFinite
  }
}
