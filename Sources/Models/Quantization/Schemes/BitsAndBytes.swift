import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

extension WeightDecoder {
  /// bitsandbytes of 4 bits: `nf4` or `fp4`, packed flat with the higher half of a byte first, a scale for each block of the
  /// flattened tensor. With double quantisation the scales are codes themselves.
  ///
  /// Shape, dtype and block sizes are in a tensor of JSON.
  static func bitsAndBytes4(_ weight: CodedWeight, in source: any TensorSource) throws(StorageError) -> WeightDecoder {
    let described = try weight.required(.description, "quant_state")
    let text = try CodedBytes(of: weight, in: source, only: [.description]).bytes(.description)
    let state = try located(tensor: described.name) { () throws(StorageError) in try BitsAndBytesState(parsing: text) }
    let count = state.shape.elementCount
    guard weight.codes.byteCount == (count + 1) / 2, let codebook = weight[.codebook],
      codebook.shape.elementCount == 16, codebook.dtype.floatFormat != nil, let scale = weight[.scale],
      scale.shape.elementCount == roundedUp(count, by: state.blockSize),
      scale.dtype.floatFormat != nil || weight[.nestedScale] != nil
    else {
      throw StorageError(
        .malformed,
        "is \(weight.codes.dtype.rawValue) \(weight.codes.shape), which does not fit the \(state.shape) of its quant_state",
        tensor: weight.codes.name)
    }
    // The values of the codes are in the file: they are the same for all weights of a kind, and small.
    var values = try CodedBytes(of: weight, in: source, only: [.codebook]).numbers(.codebook)
    // The file has one zero, the library two: its fourth bit is the sign.
    if state.isFloat, values[8] == 0 { values[8] = -0.0 }
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: state.dtype, shape: state.shape), packing: .highNibbles,
      values: values, scales: .runs(state.blockSize)
    ) { bytes throws(StorageError) in
      guard let nested = weight[.nestedScale] else { return QuantizationSteps(scales: try bytes.numbers(.scale)) }
      let (table, outer) = (try bytes.numbers(.nestedCodebook), try bytes.numbers(.nestedScale))
      guard let size = state.nestedBlockSize, scale.dtype == .u8, table.count == 256, nested.dtype.floatFormat != nil,
        weight[.nestedCodebook]?.dtype.floatFormat != nil,
        outer.count == roundedUp(scale.shape.elementCount, by: size)
      else {
        throw StorageError(
          .malformed, "is \(nested.dtype.rawValue) \(nested.shape), which does not fit the absmax beside it",
          tensor: nested.name)
      }
      return QuantizationSteps(
        scales: try bytes.bytes(.scale).enumerated().map { index, code in
          table[Int(code)] * outer[index / size] + state.nestedOffset
        })
    }
  }

  /// bitsandbytes of 8 bits: a row's codes are 127 parts of its scale.
  static func bitsAndBytes8(
    _ weight: CodedWeight, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "SCB")
    guard let codes = Matrices(weight.codes.shape), codes.count == 1, scale.shape.elementCount == codes.rows,
      scale.dtype.floatFormat != nil
    else { throw weight.mismatch() }
    return WeightDecoder(
      info: try TensorInfo(
        name: weight.name, dtype: weight.numberDType(configuration, else: .f32), shape: weight.codes.shape),
      packing: .rows(bits: 8, bytesPerRow: codes.columns), values: CodeTable.signedBytes,
      scales: .grid(rows: 1, columns: codes.columns, matrixRows: codes.rows, gridRows: codes.rows, gridColumns: 1)
    ) { bytes throws(StorageError) in
      guard try bytes.integers(.layout).allSatisfy({ $0 == 0 }) else {
        throw StorageError(
          .unsupportedFeature, "is in the order of a graphics card, which is not decoded here",
          tensor: weight.codes.name)
      }
      return QuantizationSteps(scales: try bytes.numbers(.scale), factor: 1 / 127)
    }
  }
}

/// What bitsandbytes says of a weight of 4 bits.
private struct BitsAndBytesState {
  let shape: Shape
  let dtype: DType
  let blockSize: Int
  /// Whether codes are floats of 4 bits, not quantiles.
  let isFloat: Bool
  let nestedBlockSize: Int?
  let nestedOffset: Float

  init(parsing text: [UInt8]) throws(StorageError) {
    let object = try JSONValue(parsing: text).asObject("the state")
    func count(_ name: String) throws(StorageError) -> Int {
      let value = try object.required(name, of: "the state").asCount("\"\(name)\"")
      guard value > 0 else { throw StorageError(.malformed, "\"\(name)\" is 0") }
      return value
    }
    blockSize = try count("blocksize")
    isFloat = object["quant_type"] == "fp4"
    var dimensions: [Int] = []
    for value in try object.required("shape", of: "the state").asArray("\"shape\"") {
      dimensions.append(try value.asCount("a dimension of \"shape\""))
    }
    shape = try Shape(dimensions)
    switch try object.required("dtype", of: "the state").asString("\"dtype\"") {
    case "bfloat16": dtype = .bf16
    case "float16": dtype = .f16
    case "float32": dtype = .f32
    case let other: throw StorageError(.unsupportedFeature, "is of the dtype \"\(other)\", which is not known here")
    }
    nestedBlockSize = object["nested_blocksize"] == nil ? nil : try count("nested_blocksize")
    switch object["nested_offset"] {
    case .number(let offset): nestedOffset = Float(offset)
    case .integer(let offset): nestedOffset = Float(offset)
    default: nestedOffset = 0
    }
  }
}
