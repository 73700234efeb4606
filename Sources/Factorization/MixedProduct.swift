import CKernels
import TensorKit

/// Low-rank products of one shape, to be added to a tensor of a shared model in one pass over memory.
///
/// Gives the bits that adding one product after the other to the widened tensor and rounding the sum gives (TMP-7-5, TMP-7-9).
package final class MixedProduct: Sendable {
  private let product: LowRankProduct
  /// The right side in the order of the kernel.
  private nonisolated(unsafe) let packed: UnsafeMutableBufferPointer<Float>
  private let isa: InstructionSet

  /// - Parameter products: at least one, of scale 1.
  /// - Complexity: holds rank · (rows + 2 · columns) floats.
  package init(_ products: [LowRankProduct], using isa: InstructionSet = .best) {
    let product = products.count == 1 ? products[0] : LowRankProduct(sumOf: products)
    precondition(product.scale == 1, "scales are in the left sides")
    self.product = product
    self.isa = isa
    packed = .allocate(capacity: tmpack_packed_count(isa.code, product.columns, product.rank))
    tmpack_pack_right(isa.code, product.right, product.columns, product.rank, packed.baseAddress!)
  }

  deinit { packed.deallocate() }

  /// Whether there is a kernel for tensors of this format.
  package static func supports(_ format: FloatFormat) -> Bool { format.mixType != nil }

  package var rows: Int { product.rows }
  package var columns: Int { product.columns }

  /// A good number of rows for one call: about so many bytes of them, and whole panels of the kernel.
  package func rowCount(about bytes: Int, _ format: FloatFormat) -> Int {
    let panel = Int(TMPACK_MIX_PANEL_ROWS)
    return min(rows, max(1, bytes / (panel * product.columns * format.byteWidth)) * panel)
  }

  /// Writes the sum of `shared` and the product: the elements of some rows, in the same format.
  ///
  /// - Precondition: the format is supported; both buffers are aligned for its elements.
  package func add(
    to shared: UnsafeRawBufferPointer, _ format: FloatFormat, into destination: UnsafeMutableRawBufferPointer,
    rows: Range<Int>
  ) {
    guard let type = format.mixType else { preconditionFailure("a supported format") }
    precondition(rows.lowerBound >= 0 && rows.upperBound <= product.rows, "rows of the product")
    precondition(shared.count == rows.count * product.columns * format.byteWidth && destination.count == shared.count)
    guard !rows.isEmpty else { return }
    product.left.withUnsafeBufferPointer { left in
      tmpack_mix(
        isa.code, type, shared.baseAddress!, destination.baseAddress!, rows.count, product.columns,
        left.baseAddress! + rows.lowerBound * product.rank, packed.baseAddress!, product.rank)
    }
  }
}

extension FloatFormat {
  fileprivate var mixType: tmpack_mix_type? {
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
