import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// What has to be known of an exclusive vector before anything is made of it.
package struct ExclusiveSurvey {
  package private(set) var isZero = true
  package private(set) var firstNonFinite: Int?

  /// - Parameter start: the place of the first.
  mutating func add(_ run: UnsafeBufferPointer<Float>, from start: Int) {
    let largest = run.largestMagnitude
    if largest > 0 { isZero = false }
    if firstNonFinite == nil, !largest.isFinite {
      firstNonFinite = FloatFormat.f32.firstNonFinite(UnsafeRawBufferPointer(run)).map { start + $0 }
    }
  }
}

extension FactorMeasures {
  /// The measures of a vector that is approximated by nothing.
  ///
  /// - Parameter energy: its ‖v‖².
  init(ofNothingInsteadOf energy: Double) {
    self.init(norm: Measure(energy.squareRoot()), error: Measure(1))
  }
}

/// Sums of squares of what was, and of what a decoded factor leaves of it.
///
/// Memory: the factor as products, and one decoded run.
struct LossMeter {
  private let decoded: WeightedFactor
  private var room: [Float] = []
  private var squares = 0.0
  private var lost = 0.0

  /// - Parameter factor: as it will be decoded.
  init(of factor: Factor) { decoded = WeightedFactor(factor, weight: 1) }

  /// Runs begin at multiples of it.
  var granularity: Int { decoded.granularity }

  /// - Parameter start: the place of the first.
  mutating func add(_ values: UnsafeBufferPointer<Float>, from start: Int) {
    if room.count < values.count { room = [Float](repeating: 0, count: values.count) }
    room.withUnsafeMutableBufferPointer { room in
      let panel = UnsafeMutableBufferPointer(rebasing: room[..<values.count])
      panel.update(repeating: 0)
      decoded.add(to: panel, from: start)
      for i in values.indices {
        let value = Double(values[i])
        let difference = value - Double(panel[i])
        squares += value * value
        lost += difference * difference
      }
    }
  }

  func measures() throws(StorageError) -> FactorMeasures {
    guard lost.isFinite else {
      throw StorageError(.nonFinite, "its factor overflows").with(.keepExactly)
    }
    return FactorMeasures(norm: Measure(squares.squareRoot()), error: Measure((lost / squares).squareRoot()))
  }
}
