import TMPackCKernels
import TMPackTensorKit

/// Low-rank products of one shape, to be added to a tensor of a shared model in one pass over memory.
///
/// Gives the bits that adding one product after the other to the widened tensor and rounding the sum gives (TMP-7-5, TMP-7-9).
package struct MixedProduct: Sendable {
  package let rows: Int
  package let columns: Int
  private let sides: [(left: FixedFloats, right: FixedFloats, rank: Int)]
  private let isa: InstructionSet
  private let format: FloatFormat
  private let type: tmpack_mix_type

  /// - Parameters:
  ///   - products: at least one.
  ///   - format: the tensor's.
  /// - Returns: nil for a format that there is no kernel for.
  /// - Complexity: has their right sides keep rank · columns floats more.
  package init?(_ products: [WeightedProduct], for format: FloatFormat, using isa: InstructionSet = .best) {
    guard let type = format.mixType else { return nil }
    (rows, columns) = (products[0].rows, products[0].columns)
    precondition(products.allSatisfy { [rows, columns] in $0.rows == rows && $0.columns == columns }, "of one shape")
    sides = products.compactMap { product in
      product.right.packed(for: format, using: isa).map { (product.left, $0, product.rank) }
    }
    (self.isa, self.format, self.type) = (isa, format, type)
  }

  /// A good number of rows for one call: about so many bytes of them, and whole panels of the kernel.
  package func rowCount(about bytes: Int) -> Int {
    let panel = Int(TMPACK_MIX_PANEL_ROWS)
    return min(rows, max(1, bytes / (panel * columns * format.byteWidth)) * panel)
  }

  /// Writes the sum of `shared` and the products: the elements of some rows, in the same format.
  ///
  /// - Precondition: both buffers are aligned for the format's elements.
  package func add(
    to shared: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, rows wanted: Range<Int>
  ) {
    precondition(wanted.lowerBound >= 0 && wanted.upperBound <= rows, "rows of the product")
    precondition(shared.count == wanted.count * columns * format.byteWidth && destination.count == shared.count)
    guard !wanted.isEmpty else { return }
    withExtendedLifetime(sides) {
      let products = sides.map { side in
        tmpack_mix_product(left: side.left.values.baseAddress!, packed: side.right.values.baseAddress!, rank: side.rank)
      }
      tmpack_mix(
        isa.code, type, shared.baseAddress!, destination.baseAddress!, wanted.lowerBound, wanted.count, columns,
        products, products.count)
    }
  }
}
