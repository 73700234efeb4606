import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// Codes of eight bits, a float or an integer each, in a tensor of the weight's shape: FP8 as `transformers`
  /// (`weight_scale_inv`), compressed-tensors, vLLM and ModelOpt (`weight_scale`), and ComfyUI (`scale_weight`) keep it,
  /// INT8 of compressed-tensors, MXFP8. One scale for the tensor, a row, a group of a row, or a block.
  ///
  /// `transformers` takes blocks of rows ÷ rows of scales, also where the last block is smaller, and so other blocks than
  /// those that were quantised; the block size of the configuration is right.
  ///
  /// DeepSeek's V4 has two codes of E2M1 in each byte instead, as I8, U8 or F4.
  static func scaledBytes(
    _ weight: CodedWeight, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "scale")
    let isInteger = weight.scheme == .scaledIntegers
    let isPair = !isInteger && [.i8, .u8, .f4].contains(weight.codes.dtype)
    var dimensions = weight.codes.shape.dimensions
    // F4 counts elements, the others bytes.
    if isPair, weight.codes.dtype != .f4, let last = dimensions.last {
      dimensions[dimensions.count - 1] = try last.multiplied(by: 2, "the number of columns")
    }
    // Scales of eight bits have no dtype for numbers.
    let isMicroscaled = [.u8, .f8e8m0].contains(scale.dtype)
    let dtype =
      weight.scheme == .mxfp8
      ? .bf16 : weight.numberDType(configuration, else: isMicroscaled ? .bf16 : scale.dtype.floatFormat?.dtype ?? .bf16)
    let info = try TensorInfo(name: weight.name, dtype: dtype, shape: Shape(dimensions))
    guard info.shape.elementCount > 0 else { throw weight.mismatch() }
    if let index = weight[.groupIndex], index.shape.elementCount != info.shape.dimensions.last {
      throw weight.mismatch(.groupIndex)
    }
    let placement = try weight.placement(of: scale, over: info.shape, configuration)
    let count = placement.count(of: info.shape)
    let columns = dimensions.last ?? 1

    let values: [Float]
    if isPair {
      guard columns.isMultiple(of: 2) else { throw weight.mismatch() }
      values = CodeTable.e2m1
    } else if weight.codes.dtype.floatFormat != nil {
      throw StorageError(
        .unsupportedFeature,
        """
        is \(weight.codes.dtype.rawValue), and has a scale of FP8 beside it: the codes were converted as if they were \
        numbers; take the model before that
        """, tensor: weight.codes.name)
    } else {
      values = CodeTable.of(weight.codes.dtype)!
    }
    return WeightDecoder(
      info: info, packing: .rows(bits: isPair ? 4 : 8, bytesPerRow: isPair ? columns / 2 : columns), values: values,
      scales: placement
    ) { bytes throws(StorageError) in
      let zeros = try weight[.zeroPoint].map { zero throws(StorageError) in
        guard zero.shape.elementCount == count else { throw weight.mismatch(.zeroPoint) }
        return zero.dtype.floatFormat == nil && zero.dtype != .f8e4m3
          ? try bytes.integers(.zeroPoint).map { Float($0) } : try bytes.numbers(.zeroPoint)
      }
      return QuantizationSteps(
        scales: try bytes.numbers(.scale), zeros: zeros ?? [], groupIndex: try bytes.integers(.groupIndex))
    }
  }
}

extension CodedWeight {
  /// Which of the scales belongs to a number.
  ///
  /// - Throws: `malformed` for a shape of the scales that fits no way; `unsupportedFeature` where the size of blocks is not
  ///   known.
  fileprivate func placement(
    of scale: TensorInfo, over shape: Shape, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> ScalePlacement {
    let count = scale.shape.elementCount
    if count == 1 { return .whole }
    guard let numbers = Matrices(shape) else {
      // A vector has one scale, or one for each group.
      guard shape.dimensions.count == 1, count > 0, shape.elementCount.isMultiple(of: count) else { throw mismatch() }
      return .runs(shape.elementCount / count)
    }
    func blocks(of rows: Int, by columns: Int, gridRows: Int, gridColumns: Int) -> ScalePlacement {
      .grid(
        rows: rows, columns: columns, matrixRows: numbers.rows, gridRows: gridRows, gridColumns: gridColumns)
    }
    let dimensions = scale.shape.dimensions
    // One for each matrix of a stack, or each row of all.
    if count == numbers.count, numbers.count > 1 {
      return blocks(of: numbers.rows, by: numbers.columns, gridRows: 1, gridColumns: 1)
    }
    if dimensions.count < 2 || (dimensions.last == 1 && count == numbers.count * numbers.rows) {
      guard count == numbers.count * numbers.rows else { throw mismatch() }
      return blocks(of: 1, by: numbers.columns, gridRows: numbers.rows, gridColumns: 1)
    }
    guard let scales = Matrices(scale.shape), scales.count == numbers.count, scales.rows > 0, scales.columns > 0 else {
      throw mismatch()
    }
    let isGroups = scales.rows == numbers.rows && numbers.columns.isMultiple(of: scales.columns)
    if self[.groupIndex] != nil {
      guard scales.rows == numbers.rows else { throw mismatch() }
      return blocks(of: 1, by: numbers.columns, gridRows: scales.rows, gridColumns: scales.columns)
    }
    for block in configuration?.blockSizes ?? [] {
      guard roundedUp(numbers.rows, by: block.rows) == scales.rows,
        roundedUp(numbers.columns, by: block.columns) == scales.columns
      else { continue }
      return blocks(of: block.rows, by: block.columns, gridRows: scales.rows, gridColumns: scales.columns)
    }
    // A row's groups need no configuration, as all are equal.
    if isGroups {
      return blocks(of: 1, by: numbers.columns / scales.columns, gridRows: scales.rows, gridColumns: scales.columns)
    }
    guard configuration?.blockSizes.isEmpty != false else { throw mismatch() }
    // What every such model has, unless its configuration says otherwise.
    guard roundedUp(numbers.rows, by: 128) == scales.rows, roundedUp(numbers.columns, by: 128) == scales.columns else {
      throw StorageError(
        .unsupportedFeature,
        "has scales \(scale.shape) for \(shape), whose block size no configuration says: keep the model's config.json beside it",
        tensor: codes.name)
    }
    return blocks(of: 128, by: 128, gridRows: scales.rows, gridColumns: scales.columns)
  }
}

extension ScalePlacement {
  func count(of shape: Shape) -> Int {
    let columns = shape.dimensions.last ?? 1
    return count(rows: columns == 0 ? 0 : shape.elementCount / columns, columns: columns)
  }
}
