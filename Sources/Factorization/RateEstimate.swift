import TMPackFactors

/// About what a tensor takes and loses at a setting, from its singular values alone, as if its entries were Gaussian.
///
/// Off by a fifth or so, but nearly in proportion: one real encoding tells the factor, and a search needs few of them.
package struct RateEstimate: Sendable {
  /// Of the payload.
  package var bits = 0.0
  /// ‖v − decoded‖².
  package var squaredError = 0.0

  /// Of nothing.
  package init() {}

  /// - Parameters:
  ///   - singularValues: the leading ones; empty for what is no matrix.
  ///   - energy: ‖v‖².
  package init(
    singularValues: [Double], rows: Int, columns: Int, energy: Double, at setting: RateSetting,
    _ codecs: Set<QuantizedFactor.Codec>
  ) {
    let count = Double(rows) * Double(columns)
    let rms = (energy / count).squareRoot()
    let isMatrix = !singularValues.isEmpty
    let point =
      isMatrix
      ? setting.point(singularValues: singularValues, rows: rows, columns: columns) : setting.point(rms: rms)
    var dense = RateEstimate()
    dense.add(rms: rms, count: count, step: point.step)
    guard isMatrix, !codecs.isDisjoint(with: [.lowRank, .layered]) else {
      self = dense
      return
    }
    var tail = energy
    let least = point.leastSingularValue(rows: rows, columns: columns)
    for value in singularValues.prefix(point.rank) {
      var component = RateEstimate(bits: 14, squaredError: 0)
      component.add(rms: value / Double(rows).squareRoot(), count: Double(rows), step: point.step)
      let leftLoss = component.squaredError
      component.add(rms: value / Double(columns).squareRoot(), count: Double(columns), step: point.step)
      guard value > least else { break }
      let square = value * value
      tail -= square
      bits += component.bits
      squaredError += min(component.squaredError, square)
      let factor = point.scales.factor(
        left: max(0, 1 - leftLoss / square), right: max(0, 1 - (component.squaredError - leftLoss) / square),
        value: value, rows: rows, columns: columns, energy: energy)
      if factor != 1 { squaredError += max(0, square - component.squaredError) * (factor - 1) * (factor - 1) }
    }
    squaredError += max(0, tail)
    func cost(_ estimate: RateEstimate) -> Double {
      estimate.squaredError + point.price * estimate.bits
    }
    // Layers cost about what the better of the two does.
    let competes = codecs.contains(.layered) || (codecs.contains(.dense) && point.rank >= min(rows, columns))
    if competes, cost(dense) < cost(self) { self = dense }
  }

  private init(bits: Double, squaredError: Double) {
    self.bits = bits
    self.squaredError = squaredError
  }

  /// Numbers of this RMS: above a step ½ log₂ of their energy in quantiser noise, below it next to nothing.
  private mutating func add(rms: Double, count: Double, step: Double) {
    let ratio = rms * rms / (step * step)
    bits += count * 0.5 * Self.logarithm2(1 + 12 * ratio * ratio / (0.15 + ratio))
    squaredError += count * step * step * ratio / (1 + 12 * ratio)
  }

  /// Near enough, and the same on every machine.
  private static func logarithm2(_ x: Double) -> Double {
    let z = (x.significand - 1) / (x.significand + 1)
    let square = z * z
    return Double(x.exponent) + 2.885_390_081_777_927 * z * (1 + square * (1 / 3.0 + square * (0.2 + square / 7)))
  }
}
