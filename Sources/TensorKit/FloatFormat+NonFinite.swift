extension FloatFormat {
  /// The first element that is NaN or infinite.
  package func firstNonFinite(_ bytes: UnsafeRawBufferPointer) -> Int? {
    switch self {
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
    let block = 1024
    func isNonFinite(_ index: Int) -> Bool {
      Lane(littleEndian: bytes.loadUnaligned(fromByteOffset: index &* width, as: Lane.self)) & exponent == exponent
    }
    for start in stride(from: 0, to: count, by: block) {
      let end = min(start + block, count)
      // Without an early exit the compiler uses vectors.
      var found = false
      for index in start..<end { found = found || isNonFinite(index) }
      if found { return (start..<end).first(where: isNonFinite) }
    }
    return nil
  }
}
