import TMPackTensorKit

/// What looks wrong with the numbers of a tensor, whatever they are meant to be.
package struct TensorCheck: Sendable, Hashable {
  package let nanCount: Int
  package let infinityCount: Int
  /// Whether all of at least two numbers are zero, of either sign.
  package let isAllZero: Bool

  package var isClean: Bool { nanCount == 0 && infinityCount == 0 && !isAllZero }

  /// - Parameters:
  ///   - bytes: the tensor's elements, little-endian.
  ///   - dtype: one whose numbers are not floating-point can only be all zero.
  package init(_ bytes: UnsafeRawBufferPointer, _ dtype: DType) {
    switch dtype.floatFormat {
    case .f64: self.init(bytes, UInt64.self, exponent: 0x7FF0_0000_0000_0000)
    case .f32: self.init(bytes, UInt32.self, exponent: 0x7F80_0000)
    case .f16: self.init(bytes, UInt16.self, exponent: 0x7C00)
    case .bf16: self.init(bytes, UInt16.self, exponent: 0x7F80)
    case nil:
      let isAllZero = bytes.count > max(1, dtype.bitWidth / 8) && bytes.allSatisfy { $0 == 0 }
      self.init(nanCount: 0, infinityCount: 0, isAllZero: isAllZero)
    }
  }

  private init(nanCount: Int, infinityCount: Int, isAllZero: Bool) {
    (self.nanCount, self.infinityCount, self.isAllZero) = (nanCount, infinityCount, isAllZero)
  }

  private init<Bits: FixedWidthInteger & UnsignedInteger>(
    _ bytes: UnsafeRawBufferPointer, _: Bits.Type, exponent: Bits
  ) {
    let count = bytes.count / MemoryLayout<Bits>.size
    let magnitude = ~(Bits(1) << (Bits.bitWidth - 1))
    var (nans, infinities) = (0, 0)
    var seen: Bits = 0
    for index in 0..<count {
      let bits = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self) & magnitude
      seen |= bits
      nans &+= bits > exponent ? 1 : 0
      infinities &+= bits == exponent ? 1 : 0
    }
    self.init(nanCount: nans, infinityCount: infinities, isAllZero: count > 1 && seen == 0)
  }

  /// What to say; nil when there is nothing.
  package var text: String? {
    if isAllZero { return "all zero" }
    let parts = [(nanCount, "NaN"), (infinityCount, "infinite")].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }
}
