import TMPackTensorKit

extension DType {
  /// NumPy's code for little-endian elements: the kind and the bytes of one.
  private static let numPyCodes: [(dtype: DType, code: String)] = [
    (.bool, "b1"), (.i8, "i1"), (.u8, "u1"), (.i16, "i2"), (.u16, "u2"), (.i32, "i4"), (.u32, "u4"), (.i64, "i8"),
    (.u64, "u8"), (.f16, "f2"), (.f32, "f4"), (.f64, "f8"), (.c64, "c8"),
  ]

  /// - Parameter numPyCode: without its byte order.
  init?(numPyCode: some StringProtocol) {
    guard let known = Self.numPyCodes.first(where: { $0.code == numPyCode }) else { return nil }
    self = known.dtype
  }

  /// With its byte order, as in the header of a file; nil for what NumPy does not have.
  var numPyDescription: String? {
    guard let code = Self.numPyCodes.first(where: { $0.dtype == self })?.code else { return nil }
    return (bitWidth == 8 ? "|" : "<") + code
  }
}
