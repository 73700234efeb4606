import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// How to decode a weight, as far as names, dtypes, shapes and the configuration tell.
  ///
  /// Reads small tensors only: shapes, and the descriptions of bitsandbytes.
  /// - Throws: `malformed` where the tensors do not fit each other, or the configuration; `unsupportedFeature` for a
  ///   scheme that is not decoded, or a parameter of it that is not known.
  init(
    _ weight: CodedWeight, in source: any TensorSource, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) {
    switch weight.scheme {
    case .scaledFloats, .scaledIntegers, .mxfp8:
      self = try .scaledBytes(weight, configuration)
    case .packedIntegers: self = try .packedIntegers(weight, in: source, configuration)
    case .nvfp4, .modelOptNVFP4, .mxfp4, .mxfp6: self = try .packedFloats(weight)
    case .gptOSS: self = try .gptOSS(weight)
    case .gptq, .awq: self = try .gptqOrAWQ(weight, configuration)
    case .bitsAndBytes4: self = try .bitsAndBytes4(weight, in: source)
    case .bitsAndBytes8: self = try .bitsAndBytes8(weight, configuration)
    case .torchAO: self = try .torchAO(weight, in: source)
    case .mlx: self = try .mlx(weight, configuration)
    case .hqq, .quanto, .exllamaV2, .exllamaV3, .aqlm, .vptq, .eetq, .marlin, .spqr, .marlin24, .sparse, .metal,
      .unknown:
      throw StorageError(
        .unsupportedFeature,
        """
        is kept as codes (\(weight.scheme.rawValue)), which are not decoded here: dequantise the model with the library \
        that wrote it, and save that, or take the model that it was made from
        """, tensor: weight.codes.name)
    }
  }
}

extension CodedWeight {
  /// For tensors of shapes that do not fit each other.
  func mismatch(_ companion: Companion = .scale) -> StorageError {
    let other = self[companion]
    return StorageError(
      .malformed,
      """
      is \(codes.dtype.rawValue) \(codes.shape), which does not fit \
      \(other.map { "\(lastComponent(of: $0.name)), \($0.dtype.rawValue) \($0.shape)" } ?? "its scheme")
      """, tensor: codes.name)
  }

  /// The tensor beside the codes, which must be there.
  func required(_ companion: Companion, _ what: String) throws(StorageError) -> TensorInfo {
    guard let info = self[companion] else {
      throw StorageError(.malformed, "has no \(what) beside it", tensor: codes.name)
    }
    return info
  }

  /// The dtype of the numbers: that of the scales if it is of 16 bits, else what the configuration says, else `standard`.
  func numberDType(_ configuration: QuantizationConfiguration?, else standard: DType) -> DType {
    if let scale = self[.scale], scale.dtype == .bf16 || scale.dtype == .f16 { return scale.dtype }
    switch configuration?.dtype {
    case "bfloat16": return .bf16
    case "float16": return .f16
    case "float32": return .f32
    default: return standard
    }
  }
}

/// Rows, columns and what is before them of a shape with at least two dimensions.
struct Matrices {
  let count: Int
  let rows: Int
  let columns: Int

  init?(_ shape: Shape) {
    guard shape.dimensions.count >= 2 else { return nil }
    (rows, columns) = (shape.dimensions[shape.dimensions.count - 2], shape.dimensions[shape.dimensions.count - 1])
    count = rows == 0 || columns == 0 ? 0 : shape.elementCount / (rows * columns)
  }
}

func roundedUp(_ number: Int, by divisor: Int) -> Int { number / divisor + (number % divisor == 0 ? 0 : 1) }
