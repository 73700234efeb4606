/// An element type; raw values are safetensors' names.
///
/// The order of the cases is the reference library's: it writes tensors sorted by it, last case first, so that wide
/// elements stay aligned.
public enum DType: String, Sendable, CaseIterable, Hashable {
  case bool = "BOOL"
  case f4 = "F4"
  case f6e2m3 = "F6_E2M3"
  case f6e3m2 = "F6_E3M2"
  case u8 = "U8"
  case i8 = "I8"
  case f8e5m2 = "F8_E5M2"
  case f8e4m3 = "F8_E4M3"
  case f8e8m0 = "F8_E8M0"
  case f8e4m3fnuz = "F8_E4M3FNUZ"
  case f8e5m2fnuz = "F8_E5M2FNUZ"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  public var bitWidth: Int {
    switch self {
    case .f4: 4
    case .f6e2m3, .f6e3m2: 6
    case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }

  /// Bytes of the smallest unit whose bytes belong together: a part of a complex number, a whole of anything else.
  public var planeWidth: Int { self == .c64 ? 4 : max(1, bitWidth / 8) }

  /// Its place in the writing order; see the type.
  public var writingRank: Int { Self.allCases.firstIndex(of: self)! }

  /// How to do arithmetic on it; nil for integers and for the small floats, which are only ever kept exactly.
  public var floatFormat: FloatFormat? {
    switch self {
    case .f64: .f64
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    default: nil
    }
  }

  /// How to convert it; nil for what is not a float, or one that nothing here converts.
  public var conversionFormat: ConversionFormat? { ConversionFormat.allCases.first { $0.dtype == self } }
}
