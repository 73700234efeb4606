import Synchronization
import TMPackCKernels
import TMPackTensorKit

/// The right side of low-rank products, rank × columns in float32: in the order of rows, and in that of `MixedProduct`'s kernel once
/// that was asked for.
package final class RightSide: Sendable {
  package let rank: Int
  package let columns: Int
  package let values: [Float]
  private let packed = Mutex<[FloatFormat: FixedFloats]>([:])

  /// - Parameter values: row-major.
  package init(_ values: [Float], rank: Int, columns: Int) {
    precondition(values.count == rank * columns, "rank × columns numbers")
    (self.rank, self.columns, self.values) = (rank, columns, values)
  }

  /// In the order in which the kernel for tensors of a format reads it; kept for the instruction set that is used. nil where there is no kernel.
  func packed(for format: FloatFormat, using isa: InstructionSet) -> FixedFloats? {
    guard let type = format.mixType else { return nil }
    guard isa == .best else { return pack(type, isa) }
    return packed.withLock { known in
      if let there = known[format] { return there }
      let made = pack(type, isa)
      known[format] = made
      return made
    }
  }

  private func pack(_ type: tmpack_mix_type, _ isa: InstructionSet) -> FixedFloats {
    FixedFloats(count: tmpack_packed_count(isa.code, columns, rank)) { target in
      tmpack_pack_right(isa.code, type, values, columns, rank, target.baseAddress!)
    }
  }
}

extension FloatFormat {
  var mixType: tmpack_mix_type? {
    #if _endian(little)
      switch self {
      case .f32: TMPACK_MIX_F32
      case .bf16: TMPACK_MIX_BF16
      case .f16: TMPACK_MIX_F16
      case .f64: nil
      }
    #else
      nil
    #endif
  }
}
