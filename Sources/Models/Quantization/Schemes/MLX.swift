import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// MLX: each row's codes are one stream of words. `affine` of 2 to 8 bits has a scale and an offset for each group; mxfp4,
  /// nvfp4 and mxfp8 have scales of 8 bits. NVFP4 may have the tensor's largest magnitude as well, as `global_scale`.
  static func mlx(
    _ weight: CodedWeight, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "scales")
    guard let codes = Matrices(weight.codes.shape), let scales = Matrices(scale.shape), codes.count == scales.count,
      codes.rows == scales.rows, scales.columns > 0, codes.columns > 0
    else { throw weight.mismatch() }
    let settings = MLXSettings(of: weight, configuration)
    let isAffine = weight[.bias] != nil
    // Bits of the codes with one scale: a mode's own, where it has but one.
    let groupBits = try codes.columns.multiplied(by: 32, "the bits of a row") / scales.columns
    let bits: Int
    let size: Int
    let values: [Float]
    if isAffine {
      guard let known = settings.bits, let group = settings.groupSize else {
        throw StorageError(
          .unsupportedFeature,
          "is of MLX, and no configuration says its bits and groups: keep the model's config.json beside it",
          tensor: weight.codes.name)
      }
      guard (2...8).contains(known), scale.dtype.floatFormat != nil, weight[.bias]!.matches(scale) else {
        throw weight.mismatch(.bias)
      }
      (bits, size, values) = (known, group, CodeTable.integers(bits: known))
    } else {
      guard scale.dtype == .u8 else { throw weight.mismatch() }
      switch groupBits {
      case 4 * 32: (bits, size, values) = (4, 32, CodeTable.e2m1)
      case 4 * 16: (bits, size, values) = (4, 16, CodeTable.e2m1)
      case 8 * 32: (bits, size, values) = (8, 32, CodeTable.e4m3)
      default: throw weight.mismatch()
      }
    }
    let columns = try scales.columns.multiplied(by: size, "the number of columns")
    guard size > 0, try columns.multiplied(by: bits, "the bits of a row") == codes.columns * 32 else {
      throw weight.mismatch()
    }
    var dimensions = weight.codes.shape.dimensions
    dimensions[dimensions.count - 1] = columns
    let isNVFP4 = !isAffine && size == 16
    let matrices = codes.count
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: isAffine ? scale.dtype : .bf16, shape: Shape(dimensions)),
      packing: .rows(bits: bits, bytesPerRow: codes.columns * 4), values: values,
      scales: .grid(rows: 1, columns: size, matrixRows: codes.rows, gridRows: codes.rows, gridColumns: scales.columns)
    ) { bytes throws(StorageError) in
      guard isNVFP4 else {
        return QuantizationSteps(scales: try bytes.numbers(.scale), offsets: try bytes.numbers(.bias))
      }
      var all = try bytes.bytes(.scale).map { CodeTable.e4m3[Int($0)] }
      let global = try bytes.numbers(.globalScale)
      guard [0, 1, matrices].contains(global.count) else { throw weight.mismatch(.globalScale) }
      let perMatrix = all.count / max(matrices, 1)
      for index in all.indices where !global.isEmpty {
        all[index] *= (global.count == 1 ? global[0] : global[index / perMatrix]) / (448 * 6)
      }
      return QuantizationSteps(scales: all)
    }
  }
}

/// Bits and group size of a module: its own, or else the model's.
private struct MLXSettings {
  let bits: Int?
  let groupSize: Int?

  init(of weight: CodedWeight, _ configuration: QuantizationConfiguration?) {
    func integer(_ name: String) -> Int? {
      guard let object = configuration?.object else { return nil }
      if case .object(let own) = object[module(of: weight.name)], case .integer(let value) = own[name] {
        return Int(value)
      }
      if case .integer(let value) = object[name] { return Int(value) }
      return nil
    }
    (bits, groupSize) = (integer("bits"), integer("group_size"))
  }
}
