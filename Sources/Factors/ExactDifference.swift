import TMPackCKernels
import TMPackTensorKit

/// The bit-exact difference of two tensors of the same type (TMP-6-14): small numbers where the tensors are close, large ones together.
///
/// Lane by lane, with unsigned arithmetic that wraps: both lanes are mapped to integers in the order of their values,
/// subtracted, and the signed result is zigzag-coded, 0, −1, 1, −2, … becoming 0, 1, 2, 3, …. Every step is a bijection,
/// so any bits, NaNs too, come back.
///
/// - Lanes are elements: of F64, F32, F16, BF16 and the F8 types with a sign, mapped by inverting all bits of
///   negative ones and the sign bit of the others; of integers and F8_E8M0, which has no sign, as they are.
/// - Complex numbers are pairs of 4-byte lanes and packed types bytes, as they are.
/// - Lanes are little-endian.
///
/// A change of one size is a large difference of small numbers and a small one of large ones, for the steps between numbers double
/// with each exponent. So the differences of mapped lanes are sorted, block by block, by the reference's exponent: numbers of one order
/// of magnitude come together, and the order costs nothing, because whoever decodes has the reference.
package enum ExactDifference {
  /// Bytes that are sorted at a time: those of a frame, so that frames stay independent.
  package static let blockSize = 1 << 20

  /// Runs of lanes with one exponent that are shorter than this are no news to a compressor.
  private static let shortestRun = 128

  /// The difference of `tensor` to `reference`, into `difference`.
  ///
  /// - Precondition: all three have the same size, a whole number of lanes, and do not overlap.
  /// - Returns: increasing places in `difference` where lanes of another exponent begin, or another block.
  /// - Complexity: O(n), in 32 KiB.
  @discardableResult
  package static func encode(
    _ tensor: UnsafeRawBufferPointer, against reference: UnsafeRawBufferPointer, dtype: DType,
    into difference: UnsafeMutableRawBufferPointer
  ) -> [Int] {
    let width = checkedWidth(dtype, sizes: [tensor.count, reference.count, difference.count])
    let key = dtype.sortKey
    var boundaries: [Int] = []
    forEachBlock(of: tensor.count) { start, size in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Int(key.mask) + 1) { ends in
        tmpack_encode_difference(
          tensor.baseAddress! + start, reference.baseAddress! + start, size / width, width, dtype.hasSignedLanes, key,
          difference.baseAddress! + start, ends.baseAddress)
        if start > 0 { boundaries.append(start) }
        var last = 0
        for end in ends.lazy.map(Int.init) where end - last >= shortestRun && size / width - end >= shortestRun {
          boundaries.append(start + end * width)
          last = end
        }
      }
    }
    return boundaries
  }

  /// The tensor whose difference to `reference` is `difference`, into `tensor`.
  ///
  /// - Precondition: all three have the same size, a whole number of lanes, and do not overlap.
  /// - Complexity: O(n), in 16 KiB.
  package static func decode(
    _ difference: UnsafeRawBufferPointer, against reference: UnsafeRawBufferPointer, dtype: DType,
    into tensor: UnsafeMutableRawBufferPointer
  ) {
    let width = checkedWidth(dtype, sizes: [difference.count, reference.count, tensor.count])
    forEachBlock(of: tensor.count) { start, size in
      tmpack_decode_difference(
        difference.baseAddress! + start, reference.baseAddress! + start, size / width, width, dtype.hasSignedLanes,
        dtype.sortKey, tensor.baseAddress! + start)
    }
  }

  private static func checkedWidth(_ dtype: DType, sizes: [Int]) -> Int {
    precondition(
      sizes.allSatisfy { $0 == sizes[0] } && sizes[0].isMultiple(of: dtype.planeWidth), "tensors of one type and size")
    return dtype.planeWidth
  }

  private static func forEachBlock(of count: Int, _ body: (_ start: Int, _ size: Int) -> Void) {
    for start in stride(from: 0, to: count, by: blockSize) { body(start, min(blockSize, count - start)) }
  }
}

extension DType {
  /// Whether lanes are a sign and a magnitude.
  fileprivate var hasSignedLanes: Bool { exponentBits != nil }

  /// The exponent's place in a lane of sign and magnitude; nil for others.
  private var exponentBits: (shift: UInt32, count: UInt32)? {
    switch self {
    case .f64: (52, 11)
    case .f32: (23, 8)
    case .f16: (10, 5)
    case .bf16: (7, 8)
    case .f8e5m2, .f8e5m2fnuz: (2, 5)
    case .f8e4m3, .f8e4m3fnuz: (3, 4)
    case .f8e8m0, .f4, .f6e2m3, .f6e3m2, .bool, .u8, .i8, .i16, .u16, .i32, .u32, .c64, .i64, .u64: nil
    }
  }

  /// What lanes are sorted by: the exponent, or nothing.
  fileprivate var sortKey: tmpack_sort_key {
    guard let (shift, count) = exponentBits else { return tmpack_sort_key(shift: 0, mask: 0) }
    return tmpack_sort_key(shift: shift, mask: 1 << count - 1)
  }
}
