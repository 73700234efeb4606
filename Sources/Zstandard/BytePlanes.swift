/// The byte-plane filter (TMP-5-7): byte 0 of every element, then byte 1 of every element, and so on. Exponent bytes, which
/// repeat, then stand together, away from mantissa bytes, which do not.
public enum BytePlanes {
  public static let widths = [2, 4, 8]

  /// - Precondition: both buffers have the same size, a multiple of `width`.
  public static func split(_ elements: UnsafeRawBufferPointer, width: Int, into planes: UnsafeMutableRawBufferPointer) {
    let count = checkedCount(elements.count, planes.count, width)
    guard count > 0, let source = elements.baseAddress, let target = planes.baseAddress else { return }
    for plane in 0..<width {
      let out = target + plane * count
      for i in 0..<count {
        out.storeBytes(
          of: source.load(fromByteOffset: i &* width &+ plane, as: UInt8.self), toByteOffset: i, as: UInt8.self)
      }
    }
  }

  /// The inverse of `split`.
  public static func merge(_ planes: UnsafeRawBufferPointer, width: Int, into elements: UnsafeMutableRawBufferPointer) {
    let count = checkedCount(planes.count, elements.count, width)
    guard count > 0, let source = planes.baseAddress, let target = elements.baseAddress else { return }
    switch width {
    case 2: merge(source, count, target, as: UInt16.self)
    case 4: merge(source, count, target, as: UInt32.self)
    default: merge(source, count, target, as: UInt64.self)
    }
  }

  // Whole elements are put together in a register: one store each instead of one a byte.
  @inline(__always)
  private static func merge<Lane: FixedWidthInteger & UnsignedInteger>(
    _ source: UnsafeRawPointer, _ count: Int, _ target: UnsafeMutableRawPointer, as _: Lane.Type
  ) {
    let width = MemoryLayout<Lane>.size
    for i in 0..<count {
      var lane: Lane = 0
      for plane in 0..<width {
        let byte = source.load(fromByteOffset: plane &* count &+ i, as: UInt8.self)
        lane |= Lane(truncatingIfNeeded: byte) &<< Lane(truncatingIfNeeded: 8 &* plane)
      }
      target.storeBytes(of: lane.littleEndian, toByteOffset: i &* width, as: Lane.self)
    }
  }

  private static func checkedCount(_ a: Int, _ b: Int, _ width: Int) -> Int {
    precondition(a == b && widths.contains(width) && a.isMultiple(of: width), "equal sizes of whole elements")
    return a / width
  }
}
