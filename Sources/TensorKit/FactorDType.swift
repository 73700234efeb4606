/// How the elements of a lossy factor are stored (TMP-6-8); raw values are the archive's names.
///
/// An element's value is the number itself, exactly, as float32.
public enum FactorDType: String, Sendable, CaseIterable, Hashable {
  case f32 = "F32"
  case bf16 = "BF16"
  case f16 = "F16"
  /// −127...127; −128 does not occur.
  case int8 = "I8"
  /// −7...7 as two's complement nibbles, the low one first; −8 does not occur.
  case int4 = "I4"

  public var bitWidth: Int {
    switch self {
    case .f32: 32
    case .bf16, .f16: 16
    case .int8: 8
    case .int4: 4
    }
  }

  /// Bytes of a component of `count` elements: it begins at a byte, and an odd last nibble has a zero beside it (TMP-6-9).
  public func componentBytes(_ count: Int) -> Int {
    self == .int4 ? count / 2 + count % 2 : count * (bitWidth / 8)
  }

  /// The width of the byte-plane filter that suits it; 1 for none.
  public var planeWidth: Int { max(1, bitWidth / 8) }
}
