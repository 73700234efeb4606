import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// Floats of 4 and 6 bits in streams of bytes, one scale for 16 or 32 of a row: NVFP4, MXFP4 and MXFP6 of
  /// compressed-tensors, NVFP4 of ModelOpt. The numbers are BF16, as these libraries give them.
  ///
  /// NVFP4 has a second scale for the tensor, which compressed-tensors divides by and ModelOpt multiplies by.
  static func packedFloats(_ weight: CodedWeight) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "weight_scale")
    guard let codes = Matrices(weight.codes.shape), let scales = Matrices(scale.shape), codes.count == scales.count,
      codes.rows == scales.rows, scales.columns > 0
    else { throw weight.mismatch() }
    let isNVFP4 = weight.scheme == .nvfp4 || weight.scheme == .modelOptNVFP4
    let groupSize = isNVFP4 ? 16 : 32
    let columns = try scales.columns.multiplied(by: groupSize, "the number of columns")
    let bits: Int
    switch codes.columns {
    case columns / 2: bits = 4
    case columns / 4 * 3 where !isNVFP4: bits = 6
    default: throw weight.mismatch()
    }
    var dimensions = weight.codes.shape.dimensions
    dimensions[dimensions.count - 1] = columns
    let matrices = codes.count
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: .bf16, shape: Shape(dimensions)),
      packing: .rows(bits: bits, bytesPerRow: codes.columns), values: bits == 4 ? CodeTable.e2m1 : CodeTable.e2m3,
      scales: .grid(
        rows: 1, columns: groupSize, matrixRows: codes.rows, gridRows: codes.rows, gridColumns: scales.columns)
    ) { bytes throws(StorageError) in
      var all = try bytes.numbers(.scale)
      guard isNVFP4 else { return QuantizationSteps(scales: all) }
      let global = try bytes.numbers(.globalScale)
      guard global.count == 1 || global.count == matrices else { throw weight.mismatch(.globalScale) }
      let perMatrix = all.count / matrices
      for index in all.indices {
        let other = global.count == 1 ? global[0] : global[index / perMatrix]
        all[index] = weight.scheme == .nvfp4 ? all[index] / other : all[index] * other
      }
      return QuantizationSteps(scales: all)
    }
  }

  /// gpt-oss as it is published: `…_blocks` of 16 bytes for 32 numbers along the inputs, `…_scales` with an exponent each.
  /// The numbers are [experts, inputs, outputs], where the codes are [experts, outputs, inputs].
  static func gptOSS(_ weight: CodedWeight) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "scales")
    let blocks = weight.codes.shape.dimensions
    guard blocks.count >= 3, blocks.last == 16, scale.shape.dimensions.elementsEqual(blocks.dropLast()),
      !blocks.contains(0)
    else { throw weight.mismatch() }
    let (outputs, groups) = (blocks[blocks.count - 3], blocks[blocks.count - 2])
    let inputs = try groups.multiplied(by: 32, "the number of inputs")
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: .bf16, shape: Shape(blocks.dropLast(3) + [inputs, outputs])),
      packing: .rows(bits: 4, bytesPerRow: groups * 16), values: CodeTable.e2m1,
      scales: .grid(rows: 1, columns: 32, matrixRows: outputs, gridRows: outputs, gridColumns: groups),
      isTransposed: true
    ) { bytes throws(StorageError) in
      // The library's exponent of 255 is 2¹²⁸, though the format calls it NaN. No number of binary32 is 2¹²⁸ and none that
      // it is multiplied by but 0.5 stays finite, so that infinity would be wrong.
      let exponents = try bytes.bytes(.scale)
      guard !exponents.contains(255) else {
        throw StorageError(.malformed, "has the exponent 255, which is no number", tensor: scale.name)
      }
      return QuantizationSteps(scales: exponents.map { CodeTable.e8m0[Int($0)] })
    }
  }
}
