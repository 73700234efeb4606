extension FloatFormat {
  /// The first element that is NaN or infinite.
  package func firstNonFinite(_ bytes: UnsafeRawBufferPointer) -> Int? {
    if isFinite(bytes) { return nil }
    return switch self {
    case .f64: Self.firstIndex(bytes, exponent: UInt64(0x7FF) << 52)
    case .f32: Self.firstIndex(bytes, exponent: UInt32(0xFF) << 23)
    case .f16: Self.firstIndex(bytes, exponent: UInt16(0x1F) << 10)
    case .bf16: Self.firstIndex(bytes, exponent: UInt16(0xFF) << 7)
    }
  }

  /// The first lane whose exponent bits are all set.
  private static func firstIndex<Lane: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, exponent: Lane) -> Int? {
    let width = MemoryLayout<Lane>.size
    let count = bytes.count / width
    return (0..<count).first {
      Lane(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 &* width, as: Lane.self)) & exponent == exponent
    }
  }
}
