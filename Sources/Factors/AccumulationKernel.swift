import TMPackCKernels
import TMPackTensorKit

/// A type that factors can be added in, with its kernels. `CKernels.h` states what each computes, to the bit.
package protocol FactorAccumulator: Accumulator {
  /// acc[i][j] = fma(left[i][k], right[k][j], acc[i][j]) for k = 0, 1, …, `rank` − 1.
  static func accumulateLowRank(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Self>, rows: Int, columns: Int, left: UnsafePointer<Float>,
    right: UnsafePointer<Float>, rank: Int)

  /// acc[i] = fma(gain, values[i], acc[i]).
  static func accumulateDense(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Self>, _ values: UnsafePointer<Float>, count: Int, gain: Float)

  /// acc[positions[i]] = fma(gain, values[i], acc[positions[i]]).
  static func accumulateSparse(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Self>, _ positions: UnsafePointer<Int>,
    _ values: UnsafePointer<Float>, count: Int, gain: Float)
}

extension Float: FactorAccumulator {
  package static func accumulateLowRank(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Float>, rows: Int, columns: Int, left: UnsafePointer<Float>,
    right: UnsafePointer<Float>, rank: Int
  ) { tmpack_accumulate_low_rank_f32(isa.code, acc, rows, columns, left, right, rank) }

  package static func accumulateDense(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Float>, _ values: UnsafePointer<Float>, count: Int, gain: Float
  ) { tmpack_accumulate_dense_f32(isa.code, acc, values, count, gain) }

  package static func accumulateSparse(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Float>, _ positions: UnsafePointer<Int>,
    _ values: UnsafePointer<Float>, count: Int, gain: Float
  ) { tmpack_accumulate_sparse_f32(isa.code, acc, positions, values, count, gain) }
}

extension Double: FactorAccumulator {
  package static func accumulateLowRank(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Double>, rows: Int, columns: Int, left: UnsafePointer<Float>,
    right: UnsafePointer<Float>, rank: Int
  ) { tmpack_accumulate_low_rank_f64(isa.code, acc, rows, columns, left, right, rank) }

  package static func accumulateDense(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Double>, _ values: UnsafePointer<Float>, count: Int, gain: Float
  ) { tmpack_accumulate_dense_f64(isa.code, acc, values, count, gain) }

  package static func accumulateSparse(
    _ isa: InstructionSet, _ acc: UnsafeMutablePointer<Double>, _ positions: UnsafePointer<Int>,
    _ values: UnsafePointer<Float>, count: Int, gain: Float
  ) { tmpack_accumulate_sparse_f64(isa.code, acc, positions, values, count, gain) }
}
