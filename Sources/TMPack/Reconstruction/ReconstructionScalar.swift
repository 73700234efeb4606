import Factorization
import TensorKit

/// The types that reconstruction sums in (TMP-7-4), and how a factor is added in each.
protocol ReconstructionScalar: Accumulator {
  /// TMP-7-5, TMP-7-6
  static func add(_ factor: Factor, weight: Float, to sum: UnsafeMutableBufferPointer<Self>)
  /// sum = fma(weight, values, sum), element by element.
  static func addScaled(_ values: UnsafeBufferPointer<Self>, weight: Float, to sum: UnsafeMutableBufferPointer<Self>)
}

extension Float: ReconstructionScalar {
  static func add(_ factor: Factor, weight: Float, to sum: UnsafeMutableBufferPointer<Float>) {
    factor.accumulate(weight: weight, into: sum)
  }
  static func addScaled(_ values: UnsafeBufferPointer<Float>, weight: Float, to sum: UnsafeMutableBufferPointer<Float>)
  {
    guard let target = sum.baseAddress, let source = values.baseAddress else { return }
    Float.accumulateDense(.best, target, source, count: sum.count, gain: weight)
  }
}

extension Double: ReconstructionScalar {
  static func add(_ factor: Factor, weight: Float, to sum: UnsafeMutableBufferPointer<Double>) {
    factor.accumulate(weight: weight, into: sum)
  }
  static func addScaled(
    _ values: UnsafeBufferPointer<Double>, weight: Float, to sum: UnsafeMutableBufferPointer<Double>
  ) {
    // No kernel: exact experts in F64 that are mixed are rare.
    for i in 0..<sum.count { sum[i].addProduct(Double(weight), values[i]) }
  }
}

extension ReconstructionScalar {
  /// TMP-7-7: adds weight · (own − shared), block by block.
  static func addDifference(
    _ own: UnsafeRawBufferPointer, _ shared: UnsafeRawBufferPointer, _ format: FloatFormat, weight: Float,
    to sum: UnsafeMutableBufferPointer<Self>
  ) {
    let block = 4096
    withUnsafeTemporaryAllocation(of: Self.self, capacity: 2 * block) { scratch in
      for start in stride(from: 0, to: sum.count, by: block) {
        let count = min(block, sum.count - start)
        let bytes = start * format.byteWidth..<(start + count) * format.byteWidth
        let difference = UnsafeMutableBufferPointer(rebasing: scratch[0..<count])
        let reference = UnsafeMutableBufferPointer(rebasing: scratch[block..<block + count])
        format.widen(UnsafeRawBufferPointer(rebasing: own[bytes]), into: difference)
        format.widen(UnsafeRawBufferPointer(rebasing: shared[bytes]), into: reference)
        // Equal infinities differ by nothing.
        for i in 0..<count { difference[i] = difference[i] == reference[i] ? 0 : difference[i] - reference[i] }
        addScaled(UnsafeBufferPointer(difference), weight: weight, to: .init(rebasing: sum[start..<start + count]))
      }
    }
  }
}
