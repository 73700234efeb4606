import TensorKit

/// The bit-exact difference of two tensors of the same type: small numbers where the tensors are close.
///
/// Lane by lane, with unsigned arithmetic that wraps: both lanes are mapped to integers in the order of their values,
/// subtracted, and the signed result is zigzag-coded, 0, −1, 1, −2, … becoming 0, 1, 2, 3, …. Every step is a bijection,
/// so any bits, NaNs too, come back.
///
/// - Lanes are elements: of F64, F32, F16, BF16 and the F8 types with a sign, mapped by inverting all bits of
///   negative ones and the sign bit of the others; of integers and F8_E8M0, which has no sign, as they are.
/// - Complex numbers are pairs of 4-byte lanes and packed types bytes, as they are.
/// - Lanes are little-endian.
public enum ExactDifference {
  /// The difference of `tensor` to `reference`, into `difference`.
  ///
  /// - Precondition: all three have the same size, a whole number of lanes. Input and output may be the same memory.
  /// - Complexity: O(n), in no memory.
  public static func encode(
    _ tensor: UnsafeRawBufferPointer, against reference: UnsafeRawBufferPointer, dtype: DType,
    into difference: UnsafeMutableRawBufferPointer
  ) {
    let signed = hasSignedLanes(dtype)
    switch dtype.planeWidth {
    case 1: encode(UInt8.self, tensor, reference, difference, signed: signed)
    case 2: encode(UInt16.self, tensor, reference, difference, signed: signed)
    case 4: encode(UInt32.self, tensor, reference, difference, signed: signed)
    default: encode(UInt64.self, tensor, reference, difference, signed: signed)
    }
  }

  /// The tensor whose difference to `reference` is `difference`, into `tensor`.
  ///
  /// - Precondition: all three have the same size, a whole number of lanes. Input and output may be the same memory.
  /// - Complexity: O(n), in no memory.
  public static func decode(
    _ difference: UnsafeRawBufferPointer, against reference: UnsafeRawBufferPointer, dtype: DType,
    into tensor: UnsafeMutableRawBufferPointer
  ) {
    let signed = hasSignedLanes(dtype)
    switch dtype.planeWidth {
    case 1: decode(UInt8.self, difference, reference, tensor, signed: signed)
    case 2: decode(UInt16.self, difference, reference, tensor, signed: signed)
    case 4: decode(UInt32.self, difference, reference, tensor, signed: signed)
    default: decode(UInt64.self, difference, reference, tensor, signed: signed)
    }
  }

  /// Whether lanes are a sign and a magnitude.
  private static func hasSignedLanes(_ dtype: DType) -> Bool {
    switch dtype {
    case .f64, .f32, .f16, .bf16, .f8e5m2, .f8e4m3, .f8e4m3fnuz, .f8e5m2fnuz: true
    case .f8e8m0, .f4, .f6e2m3, .f6e3m2, .bool, .u8, .i8, .i16, .u16, .i32, .u32, .c64, .i64, .u64: false
    }
  }

  @inline(__always)
  private static func encode<Lane: FixedWidthInteger & UnsignedInteger>(
    _: Lane.Type, _ tensor: UnsafeRawBufferPointer, _ reference: UnsafeRawBufferPointer,
    _ difference: UnsafeMutableRawBufferPointer, signed: Bool
  ) {
    if signed {
      combine(tensor, reference, difference) { (a: Lane, b: Lane) in zigzag(ordered(a) &- ordered(b)) }
    } else {
      combine(tensor, reference, difference) { (a: Lane, b: Lane) in zigzag(a &- b) }
    }
  }

  @inline(__always)
  private static func decode<Lane: FixedWidthInteger & UnsignedInteger>(
    _: Lane.Type, _ difference: UnsafeRawBufferPointer, _ reference: UnsafeRawBufferPointer,
    _ tensor: UnsafeMutableRawBufferPointer, signed: Bool
  ) {
    if signed {
      combine(difference, reference, tensor) { (d: Lane, b: Lane) in unordered(ordered(b) &+ unzigzag(d)) }
    } else {
      combine(difference, reference, tensor) { (d: Lane, b: Lane) in b &+ unzigzag(d) }
    }
  }

  @inline(__always)
  private static func combine<Lane: FixedWidthInteger>(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, _ result: UnsafeMutableRawBufferPointer,
    _ body: (Lane, Lane) -> Lane
  ) {
    let width = MemoryLayout<Lane>.size
    precondition(
      first.count == second.count && first.count == result.count && first.count % width == 0,
      "tensors of one type and size")
    guard let a = first.baseAddress, let b = second.baseAddress, let target = result.baseAddress else { return }
    for i in 0..<first.count / width {
      let offset = i &* width
      let x = Lane(littleEndian: a.loadUnaligned(fromByteOffset: offset, as: Lane.self))
      let y = Lane(littleEndian: b.loadUnaligned(fromByteOffset: offset, as: Lane.self))
      target.storeBytes(of: body(x, y).littleEndian, toByteOffset: offset, as: Lane.self)
    }
  }
}

/// All ones for a lane whose top bit is set, otherwise zero.
@inline(__always)
private func signMask<Lane: FixedWidthInteger & UnsignedInteger>(_ lane: Lane) -> Lane {
  0 &- (lane &>> Lane(Lane.bitWidth - 1))
}

/// Bits of a sign and a magnitude, as an integer in the order of the values.
@inline(__always)
private func ordered<Lane: FixedWidthInteger & UnsignedInteger>(_ lane: Lane) -> Lane {
  lane ^ (signMask(lane) | 1 &<< Lane(Lane.bitWidth - 1))
}

@inline(__always)
private func unordered<Lane: FixedWidthInteger & UnsignedInteger>(_ lane: Lane) -> Lane {
  lane ^ (~signMask(lane) | 1 &<< Lane(Lane.bitWidth - 1))
}

@inline(__always)
private func zigzag<Lane: FixedWidthInteger & UnsignedInteger>(_ lane: Lane) -> Lane { lane &<< 1 ^ signMask(lane) }

@inline(__always)
private func unzigzag<Lane: FixedWidthInteger & UnsignedInteger>(_ lane: Lane) -> Lane {
  lane &>> 1 ^ (0 &- (lane & 1))
}
