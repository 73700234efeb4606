import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

extension WeightDecoder {
  /// torchao's safetensors: `_weight_qdata` and its scales, what they mean in the file's metadata. Decoded are those whose
  /// codes are one to a byte: `Float8Tensor`, `Int8Tensor` and `IntxUnpackedToInt8Tensor`.
  static func torchAO(_ weight: CodedWeight, in source: any TensorSource) throws(StorageError) -> WeightDecoder {
    guard let text = source.metadata.first(where: { $0.key.hasSameBytes(as: weight.name) })?.value else {
      throw StorageError(
        .unsupportedFeature,
        "is of torchao, and the file's metadata do not say what it means: keep the file as torchao wrote it",
        tensor: weight.codes.name)
    }
    let state = try located(tensor: weight.name) { () throws(StorageError) in
      try TorchAOState(parsing: Array(text.utf8))
    }
    let scale = try weight.required(.scale, "scale")
    guard weight[.bias] == nil, weight[.globalScale] == nil, let values = CodeTable.of(weight.codes.dtype),
      weight.codes.dtype != .f4, scale.dtype.floatFormat != nil
    else {
      throw StorageError(
        .unsupportedFeature, "is of torchao's \(state.type) in a form that is not decoded here",
        tensor: weight.codes.name)
    }
    guard let codes = Matrices(weight.codes.shape), codes.count == 1, codes.rows > 0, codes.columns > 0,
      state.blockSize.count == 2
    else { throw weight.mismatch() }
    let (rows, columns) = (state.blockSize[0], state.blockSize[1])
    let (gridRows, gridColumns) = (roundedUp(codes.rows, by: rows), roundedUp(codes.columns, by: columns))
    let count = gridRows * gridColumns
    guard scale.shape.elementCount == count, weight[.zeroPoint].map({ $0.shape.elementCount == count }) ?? true else {
      throw weight.mismatch()
    }
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: state.dtype ?? scale.dtype, shape: weight.codes.shape),
      packing: .rows(bits: 8, bytesPerRow: codes.columns), values: values,
      scales: .grid(rows: rows, columns: columns, matrixRows: codes.rows, gridRows: gridRows, gridColumns: gridColumns)
    ) { bytes throws(StorageError) in
      let zeros = weight[.zeroPoint].map { $0.dtype.floatFormat != nil }
      return QuantizationSteps(
        scales: try bytes.numbers(.scale),
        zeros: zeros == true ? try bytes.numbers(.zeroPoint) : try bytes.integers(.zeroPoint).map { Float($0) })
    }
  }
}

/// What torchao says of a weight.
private struct TorchAOState {
  let type: String
  let blockSize: [Int]
  let dtype: DType?

  private static let known: Set<String> = ["Float8Tensor", "Int8Tensor", "IntxUnpackedToInt8Tensor"]

  init(parsing text: [UInt8]) throws(StorageError) {
    let object = try JSONValue(parsing: text, maximumDepth: Limits.configurationDepth).asObject("the metadata")
    type = try object.required("_type", of: "the metadata").asString("\"_type\"")
    guard Self.known.contains(type) else {
      throw StorageError(.unsupportedFeature, "is of torchao's \(type), which is not decoded here")
    }
    let data = try object.required("_data", of: "the metadata").asObject("\"_data\"")
    var sizes: [Int] = []
    for value in try data.required("block_size", of: "the metadata").asArray("\"block_size\"") {
      let size = try value.asCount("a size of \"block_size\"")
      guard size > 0 else { throw StorageError(.malformed, "a size of \"block_size\" is 0") }
      sizes.append(size)
    }
    blockSize = sizes
    dtype = Self.dtype(data["dtype"])
  }

  /// Written as a text, or as an object with one.
  private static func dtype(_ value: JSONValue?) -> DType? {
    switch value {
    case .string(let text):
      switch text.hasPrefix("torch.") ? String(text.dropFirst(6)) : text {
      case "bfloat16": return .bf16
      case "float16": return .f16
      case "float32": return .f32
      default: return nil
      }
    case .object(let object): return dtype(object["_data"])
    default: return nil
    }
  }
}
