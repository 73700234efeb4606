import TMPackFactors
import TMPackTensorKit

/// The types that reconstruction sums in (TMP-7-4).
protocol ReconstructionScalar: FactorAccumulator {
  /// sum = fma(weight, values, sum), element by element.
  static func addScaled(_ values: UnsafeBufferPointer<Self>, weight: Float, to sum: UnsafeMutableBufferPointer<Self>)
}

extension Float: ReconstructionScalar {
  static func addScaled(_ values: UnsafeBufferPointer<Float>, weight: Float, to sum: UnsafeMutableBufferPointer<Float>)
  {
    guard let target = sum.baseAddress, let source = values.baseAddress else { return }
    Float.accumulateDense(.best, target, source, count: sum.count, gain: weight)
  }
}

extension Double: ReconstructionScalar {
  static func addScaled(
    _ values: UnsafeBufferPointer<Double>, weight: Float, to sum: UnsafeMutableBufferPointer<Double>
  ) {
    // No kernel: exact experts in F64 that are mixed are rare.
    for i in 0..<sum.count { sum[i].addProduct(Double(weight), values[i]) }
  }
}

extension ReconstructionScalar {
  /// TMP-7-7: adds weight · (own − shared).
  static func addDifference(
    _ own: UnsafeRawBufferPointer, _ shared: UnsafeRawBufferPointer, _ format: FloatFormat, weight: Float,
    to sum: UnsafeMutableBufferPointer<Self>
  ) {
    BlockwiseDifference.forEach(own, minus: shared, format, as: Self.self) { start, difference in
      addScaled(difference, weight: weight, to: .init(rebasing: sum[start..<start + difference.count]))
    }
  }
}
