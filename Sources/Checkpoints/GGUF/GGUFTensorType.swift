import TMPackByteIO
import TMPackTensorKit

/// How GGUF stores the elements of a tensor (`ggml_type` in ggml-org/ggml, docs/gguf.md); raw values are the file's.
///
/// A quantised type keeps blocks of elements that share a scale. Such tensors are read as F32: the value of an element
/// is what `dequantize_row_*` of ggml gives, bit for bit.
package enum GGUFTensorType: UInt32, Sendable, CaseIterable, Hashable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case q8_K = 15
  case iq2_XXS = 16
  case iq2_XS = 17
  case iq3_XXS = 18
  case iq1_S = 19
  case iq4_NL = 20
  case iq3_S = 21
  case iq2_S = 22
  case iq4_XS = 23
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case iq1_M = 29
  case bf16 = 30
  case tq1_0 = 34
  case tq2_0 = 35
  case mxfp4 = 39
  case nvfp4 = 40
  case q1_0 = 41

  /// The type that holds elements of `dtype` as they are; nil when GGUF has none (unsigned integers, booleans,
  /// complex numbers, the small floats).
  package init?(_ dtype: DType) {
    switch dtype {
    case .f32: self = .f32
    case .f16: self = .f16
    case .bf16: self = .bf16
    case .f64: self = .f64
    case .i8: self = .i8
    case .i16: self = .i16
    case .i32: self = .i32
    case .i64: self = .i64
    default: return nil
    }
  }

  /// What its elements are read as.
  package var dtype: DType {
    switch self {
    case .f16: .f16
    case .bf16: .bf16
    case .f64: .f64
    case .i8: .i8
    case .i16: .i16
    case .i32: .i32
    case .i64: .i64
    default: .f32
    }
  }

  /// How its blocks are laid out; nil for plain elements.
  var block: (any QuantizedBlock.Type)? {
    switch self {
    case .f32, .f16, .bf16, .f64, .i8, .i16, .i32, .i64: nil
    case .q4_0: Q4_0Block.self
    case .q4_1: Q4_1Block.self
    case .q5_0: Q5_0Block.self
    case .q5_1: Q5_1Block.self
    case .q8_0: Q8_0Block.self
    case .q2_K: Q2_KBlock.self
    case .q3_K: Q3_KBlock.self
    case .q4_K: Q4_KBlock.self
    case .q5_K: Q5_KBlock.self
    case .q6_K: Q6_KBlock.self
    case .q8_K: Q8_KBlock.self
    case .iq4_NL: IQ4_NLBlock.self
    case .iq4_XS: IQ4_XSBlock.self
    case .tq1_0: TQ1_0Block.self
    case .tq2_0: TQ2_0Block.self
    case .mxfp4: MXFP4Block.self
    case .iq1_S: IQ1_SBlock.self
    case .iq1_M: IQ1_MBlock.self
    case .iq2_XXS: IQ2_XXSBlock.self
    case .iq2_XS: IQ2_XSBlock.self
    case .iq2_S: IQ2_SBlock.self
    case .iq3_XXS: IQ3_XXSBlock.self
    case .iq3_S: IQ3_SBlock.self
    case .nvfp4: NVFP4Block.self
    case .q1_0: Q1_0Block.self
    }
  }

  package var isQuantized: Bool { block != nil }

  /// Elements that are stored together: 1 for plain ones.
  package var blockElements: Int { block?.elementCount ?? 1 }
  package var blockBytes: Int { block?.byteCount ?? dtype.bitWidth / 8 }

  /// Whether tensors can be written as this type.
  package var isWritable: Bool { block.map { $0 is any QuantizableBlock.Type } ?? true }

  /// Whether it matters to this type how much each element counts.
  package var isWeightable: Bool { block is any WeightableBlock.Type }

  /// Whether quantising the tensor to this type is what llama.cpp would do: a matrix of floats whose rows are whole
  /// blocks. It keeps vectors as they are, and what it knows by its name to need all of its digits.
  package func suits(_ info: TensorInfo) -> Bool {
    guard !GGUFTensorName.isKeptInFull(info.name) else { return false }
    guard isQuantized, info.dtype.floatFormat != nil, info.shape.dimensions.count >= 2 else { return false }
    return info.shape.dimensions.last!.isMultiple(of: blockElements)
  }

  /// The type that a tensor is quantised to when this one is asked for: itself, or for rows that are no whole blocks of 256 the one
  /// of 32 that llama.cpp takes then; nil to keep the tensor as it is.
  package func fitting(_ info: TensorInfo) -> GGUFTensorType? {
    let others: [GGUFTensorType: GGUFTensorType] = [.q4_K: .q5_0, .q5_K: .q5_1, .q6_K: .q8_0]
    return [self, others[self]].compactMap { $0 }.first { $0.suits(info) }
  }

  /// Bytes that a tensor of this type takes in a file.
  ///
  /// - Throws: `malformed` when the rows are not whole blocks, or the size overflows.
  func storedByteCount(of shape: Shape) throws(StorageError) -> Int {
    // Without a dimension a tensor is one element.
    let row = shape.dimensions.last ?? 1
    guard row.isMultiple(of: blockElements) else {
      throw StorageError(
        .malformed, "rows of \(row) elements are not whole blocks of \(self), which has \(blockElements)")
    }
    return try (shape.elementCount / blockElements).multiplied(by: blockBytes, "the size of a tensor")
  }
}

extension GGUFTensorType: CustomStringConvertible {
  /// ggml's name: `Q8_0`, `Q4_K`, `F16`.
  package var description: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q2_K: "Q2_K"
    case .q3_K: "Q3_K"
    case .q4_K: "Q4_K"
    case .q5_K: "Q5_K"
    case .q6_K: "Q6_K"
    case .q8_K: "Q8_K"
    case .iq4_NL: "IQ4_NL"
    case .iq4_XS: "IQ4_XS"
    case .i8: "I8"
    case .i16: "I16"
    case .i32: "I32"
    case .i64: "I64"
    case .f64: "F64"
    case .bf16: "BF16"
    case .tq1_0: "TQ1_0"
    case .tq2_0: "TQ2_0"
    case .mxfp4: "MXFP4"
    case .iq1_S: "IQ1_S"
    case .iq1_M: "IQ1_M"
    case .iq2_XXS: "IQ2_XXS"
    case .iq2_XS: "IQ2_XS"
    case .iq2_S: "IQ2_S"
    case .iq3_XXS: "IQ3_XXS"
    case .iq3_S: "IQ3_S"
    case .nvfp4: "NVFP4"
    case .q1_0: "Q1_0"
    }
  }

  /// What to call a type that cannot be read.
  static func name(ofUnsupported code: UInt32) -> String {
    let names: [UInt32: String] = [
      4: "Q4_2 (removed from ggml)", 5: "Q4_3 (removed from ggml)", 9: "Q8_1", 31: "Q4_0_4_4 (removed from ggml)",
      32: "Q4_0_4_8 (removed from ggml)", 33: "Q4_0_8_8 (removed from ggml)", 36: "IQ4_NL_4_4 (removed from ggml)",
      37: "IQ4_NL_4_8 (removed from ggml)", 38: "IQ4_NL_8_8 (removed from ggml)",
    ]
    return names[code] ?? "number \(code)"
  }
}
