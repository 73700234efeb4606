/// How the elements of a lossy factor are stored (TMP-6-8).
public enum FactorDType: String, Sendable, CaseIterable, Hashable {
  case f32 = "F32"
  case bf16 = "BF16"
  case f16 = "F16"
  case int8 = "I8"
  case int4 = "I4"

  public var bitWidth: Int {
    switch self {
    case .f32: 32
    case .bf16, .f16: 16
    case .int8: 8
    case .int4: 4
    }
  }

  /// Bytes of a component of `count` elements, which begins at a byte (TMP-6-9).
  public func componentBytes(_ count: Int) -> Int {
    switch self {
    case .int4: count / 2 + count % 2
    default: count * (bitWidth / 8)
    }
  }

  /// The width of the byte-plane filter that suits it; 0 for none.
  public var planeWidth: Int { bitWidth >= 16 ? bitWidth / 8 : 0 }
}
