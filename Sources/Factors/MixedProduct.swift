import TMPackCKernels
import TMPackTensorKit

/// Low-rank products of one shape, to be added to a tensor of a shared model in one pass over memory.
///
/// Gives the bits that adding one product after the other to the widened tensor and rounding the sum gives (TMP-7-5, TMP-7-9).
package final class MixedProduct: Sendable {
  private let product: LowRankProduct
  /// The right side in the order of the kernel.
  private nonisolated(unsafe) let packed: UnsafeMutableBufferPointer<Float>
  private let isa: InstructionSet
  private let format: FloatFormat
  private let type: tmpack_mix_type

  /// - Parameters:
  ///   - products: at least one, of scale 1.
  ///   - format: the tensor's.
  /// - Returns: nil for a format that there is no kernel for.
  /// - Complexity: holds rank · (rows + 2 · columns) floats.
  package init?(_ products: [LowRankProduct], for format: FloatFormat, using isa: InstructionSet = .best) {
    guard let type = format.mixType else { return nil }
    self.format = format
    self.type = type
    let product = products.count == 1 ? products[0] : LowRankProduct(sumOf: products)
    precondition(product.scale == 1, "scales are in the left sides")
    self.product = product
    self.isa = isa
    packed = .allocate(capacity: tmpack_packed_count(isa.code, product.columns, product.rank))
    tmpack_pack_right(isa.code, type, product.right, product.columns, product.rank, packed.baseAddress!)
  }

  deinit { packed.deallocate() }

  package var rows: Int { product.rows }
  package var columns: Int { product.columns }

  /// A good number of rows for one call: about so many bytes of them, and whole panels of the kernel.
  package func rowCount(about bytes: Int) -> Int {
    let panel = Int(TMPACK_MIX_PANEL_ROWS)
    return min(rows, max(1, bytes / (panel * product.columns * format.byteWidth)) * panel)
  }

  /// Writes the sum of `shared` and the product: the elements of some rows, in the same format.
  ///
  /// - Precondition: both buffers are aligned for the format's elements.
  package func add(
    to shared: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, rows: Range<Int>
  ) {
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
