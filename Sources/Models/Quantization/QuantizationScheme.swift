/// How a model keeps weights as codes and scales, by the library that wrote them.
///
/// Raw values are what messages call a scheme.
package enum QuantizationScheme: String, Sendable, Hashable, CaseIterable {
  case bitsAndBytes4 = "bitsandbytes, 4 bits"
  case bitsAndBytes8 = "bitsandbytes, 8 bits"
  /// GPTQ and AWQ share the names of their tensors; shapes and configuration tell them apart.
  case gptq = "GPTQ"
  case awq = "AWQ"
  /// Integers of 1 to 8 bits, packed.
  case packedIntegers = "compressed-tensors, packed integers"
  /// Eight-bit integers or floats beside scales, as `transformers`, vLLM, compressed-tensors and others write them.
  case scaledFloats = "FP8 with scales"
  case scaledIntegers = "INT8 with scales"
  case nvfp4 = "compressed-tensors, NVFP4"
  case modelOptNVFP4 = "ModelOpt, NVFP4"
  case mxfp4 = "compressed-tensors, MXFP4"
  case mxfp6 = "compressed-tensors, MXFP6"
  case mxfp8 = "MXFP8"
  case gptOSS = "MXFP4 of gpt-oss"
  case torchAO = "torchao"
  case mlx = "MLX"
  case hqq = "HQQ"
  case quanto = "quanto"
  case exllamaV2 = "EXL2"
  case exllamaV3 = "EXL3"
  case aqlm = "AQLM"
  case vptq = "VPTQ"
  case eetq = "EETQ"
  case marlin = "Marlin"
  case spqr = "SpQR"
  case marlin24 = "compressed-tensors, marlin-24"
  case sparse = "compressed-tensors, sparse with bit masks"
  case metal = "Metal kernels of transformers"
  /// Codes beside something that is called a scale, as no scheme above has them.
  case unknown = "an unknown quantisation"
}
