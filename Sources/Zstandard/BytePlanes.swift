import TMPackCKernels

/// The byte-plane filters (TMP-5-7, TMP-5-10): byte 0 of every element, then byte 1 of every element, and so on. Exponent bytes,
/// which repeat, then stand together, away from mantissa bytes, which do not.
///
/// Rotated planes first turn each element left by one bit. The sign of a floating-point number, which is noise, then leaves the
/// exponent's plane for the last, and all eight bits of the exponent stand in one: for BF16 that is 1 % of the whole.
package enum BytePlanes {
  package static let widths = [2, 4, 8]

  /// - Precondition: both buffers have the same size, a multiple of `width`, and do not overlap.
  package static func split(
    _ elements: UnsafeRawBufferPointer, width: Int, rotated: Bool = false, into planes: UnsafeMutableRawBufferPointer
  ) {
    let count = checkedCount(elements.count, planes.count, width)
    guard count > 0, let source = elements.baseAddress, let target = planes.baseAddress else { return }
    tmpack_split_planes(source, count, width, rotated, target)
  }

  /// The inverse of `split`.
  package static func merge(
    _ planes: UnsafeRawBufferPointer, width: Int, rotated: Bool = false, into elements: UnsafeMutableRawBufferPointer
  ) {
    let count = checkedCount(planes.count, elements.count, width)
    guard count > 0, let source = planes.baseAddress, let target = elements.baseAddress else { return }
    tmpack_merge_planes(source, count, width, rotated, target)
  }

  private static func checkedCount(_ a: Int, _ b: Int, _ width: Int) -> Int {
    precondition(a == b && widths.contains(width) && a.isMultiple(of: width), "equal sizes of whole elements")
    return a / width
  }
}
