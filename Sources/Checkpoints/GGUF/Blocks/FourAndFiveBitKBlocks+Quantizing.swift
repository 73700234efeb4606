import TMPackTensorKit

/// Eight groups of 32 with a scale and a minimum of six bits each, as Q4_K and Q5_K have them.
private struct GroupedQuants {
  var quants = [UInt8](repeating: 0, count: 256)
  var isFinite = true

  /// What a search has found for each group.
  private struct Groups {
    var scales = [Float](repeating: 0, count: 8)
    var minima = [Float](repeating: 0, count: 8)
    var roundings = [GroupSearch.Rounding](repeating: .init(), count: 8)
    var sumsOfWeights = [Float](repeating: 0, count: 8)

    init(
      _ values: UnsafePointer<Float>, most: Int32, first: Float, step: Float, count: Int,
      weight: (_ group: Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { weights in
        for group in 0..<8 {
          weight(group, weights)
          sumsOfWeights[group] = weights.reduce(0, +)
          (scales[group], minima[group], roundings[group]) = GroupSearch.scaleAndMinimum(
            values + 32 * group, weights: UnsafePointer(weights.baseAddress!), elements: 32, most: most, first: first,
            step: step, count: count)
        }
      }
    }
  }

  /// Writes d, dmin, scales and minima to the first 16 bytes of a block.
  init(
    _ values: UnsafePointer<Float>, most: Int32, first: Float, count: Int, into block: UnsafeMutableRawPointer
  ) {
    let groups = Groups(values, most: most, first: first, step: 0.1, count: count) { group, weights in
      let x = values + 32 * group
      var squares: Float = 0
      for l in 0..<32 { squares += x[l] * x[l] }
      let mean = (squares / 32).squareRoot()
      for l in 0..<32 { weights[l] = mean + x[l].magnitude }
    }
    // Never −0.
    func largest(_ values: [Float]) -> Float { values.reduce(0) { $1 > $0 ? $1 : $0 } }
    let largest = (scale: largest(groups.scales), minimum: largest(groups.minima))
    func sixBits(_ values: [Float], _ largest: Float) -> [UInt8] {
      let inverse = largest > 0 ? 63 / largest : 0
      return values.map { UInt8(clamping: min(63, GroupSearch.nearest(inverse * $0))) }
    }
    write(
      values, groups, (largest.scale / 63, sixBits(groups.scales, largest.scale)),
      (largest.minimum / 63, sixBits(groups.minima, largest.minimum)), most: most, into: block)
  }

  /// The same where it is known how much each element counts.
  init(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, most: Int32, into block: UnsafeMutableRawPointer
  ) {
    var squares: Float = 0
    for l in 0..<256 { squares += values[l] * values[l] }
    let mean = 2 * squares / 256
    let groups = Groups(values, most: most, first: -0.9, step: 0.05, count: 36) { group, weights in
      for l in 0..<32 {
        let x = values[32 * group + l]
        weights[l] = importance[32 * group + l] * (mean + x * x).squareRoot()
      }
    }
    write(
      values, groups, GroupSearch.scaleOfPositive(groups.scales, weights: groups.sumsOfWeights, most: 63),
      GroupSearch.scaleOfPositive(groups.minima, weights: groups.sumsOfWeights, most: 63), most: most, into: block)
  }

  private mutating func write(
    _ values: UnsafePointer<Float>, _ groups: Groups, _ scales: (scale: Float, quants: [UInt8]),
    _ minima: (scale: Float, quants: [UInt8]), most: Int32, into block: UnsafeMutableRawPointer
  ) {
    let packed = (block + 4).bindMemory(to: UInt8.self, capacity: 12)
    for byte in 0..<12 { packed[byte] = 0 }
    for (group, (scale, minimum)) in zip(scales.quants, minima.quants).enumerated() {
      if group < 4 {
        packed[group] = scale
        packed[group + 4] = minimum
      } else {
        packed[group + 4] = scale & 15 | (minimum & 15) << 4
        packed[group - 4] |= (scale >> 4) << 6
        packed[group] |= (minimum >> 4) << 6
      }
    }
    let bits = (Half.bits(scales.scale), Half.bits(minima.scale))
    block.storeBytes(of: bits.0.littleEndian, as: UInt16.self)
    block.storeBytes(of: bits.1.littleEndian, toByteOffset: 2, as: UInt16.self)
    isFinite = bits.0 & 0x7FFF < 0x7C00 && bits.1 & 0x7FFF < 0x7C00
    guard isFinite else { return }
    let (d, dmin) = (Half.float(bits: bits.0), Half.float(bits: bits.1))
    for group in 0..<8 {
      let scale = d * Float(scales.quants[group])
      guard scale != 0 else {
        // Whatever they are; those of the search, as ggml leaves them.
        for l in 32 * group..<32 * group + 32 {
          quants[l] = UInt8(groups.roundings[group].quant(values[l], from: 0, to: most))
        }
        continue
      }
      let minimum = dmin * Float(minima.quants[group])
      for l in 32 * group..<32 * group + 32 {
        quants[l] = UInt8(max(0, min(most, GroupSearch.nearest((values[l] + minimum) / scale))))
      }
    }
  }
}

extension Q4_KBlock: WeightableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    finish(GroupedQuants(values, most: 15, first: -1, count: 20, into: block), into: block)
  }

  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare _: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool { finish(GroupedQuants(values, importance: importance, most: 15, into: block), into: block) }

  private static func finish(_ grouped: GroupedQuants, into block: UnsafeMutableRawPointer) -> Bool {
    for pair in 0..<4 {
      for l in 0..<32 {
        let byte = grouped.quants[64 * pair + l] | grouped.quants[64 * pair + 32 + l] << 4
        block.storeBytes(of: byte, toByteOffset: 16 + 32 * pair + l, as: UInt8.self)
      }
    }
    return grouped.isFinite
  }
}

extension Q5_KBlock: WeightableBlock {
  static func quantize(_ values: UnsafePointer<Float>, into block: UnsafeMutableRawPointer) -> Bool {
    finish(GroupedQuants(values, most: 31, first: -0.5, count: 15, into: block), into: block)
  }

  static func quantize(
    _ values: UnsafePointer<Float>, importance: UnsafePointer<Float>, rowMeanSquare _: Float,
    into block: UnsafeMutableRawPointer
  ) -> Bool { finish(GroupedQuants(values, importance: importance, most: 31, into: block), into: block) }

  private static func finish(_ grouped: GroupedQuants, into block: UnsafeMutableRawPointer) -> Bool {
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
