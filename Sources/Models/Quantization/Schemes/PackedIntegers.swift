import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// compressed-tensors' `pack-quantized`: integers of 1 to 8 bits, offset by half their range, each row a stream of
  /// words. Zero points are packed along the outputs, or plain I8 where there is one for the tensor. Older files have a
  /// group index.
  static func packedIntegers(
    _ weight: CodedWeight, in source: any TensorSource, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> WeightDecoder {
    let scale = try weight.required(.scale, "weight_scale")
    let shapeInfo = try weight.required(.shape, "weight_shape")
    guard shapeInfo.shape.elementCount == 2, [.i64, .i32].contains(shapeInfo.dtype),
      weight.codes.shape.dimensions.count == 2, scale.dtype.floatFormat != nil
    else { throw weight.mismatch(.shape) }
    let dimensions = try CodedBytes(of: weight, in: source, only: [.shape]).integers(.shape)
    let (rows, columns) = (dimensions[0], dimensions[1])
    let words = weight.codes.shape.dimensions[1]
    guard rows == weight.codes.shape.dimensions[0], rows > 0, columns > 0,
      columns <= words.multipliedReportingOverflow(by: 32).partialValue
    else {
      throw StorageError(
        .malformed, "says [\(rows), \(columns)], which does not fit weight_packed, \(weight.codes.shape)",
        tensor: shapeInfo.name)
    }
    let bits = try weight.bits(among: configuration?.integerWidths ?? []) { roundedUp(columns * $0, by: 32) == words }
    let info = try TensorInfo(
      name: weight.name, dtype: scale.dtype.floatFormat!.dtype, shape: Shape([rows, columns]))
    let groups: Int
    let placement: ScalePlacement
    if scale.shape.elementCount == 1 {
      (groups, placement) = (1, .whole)
    } else {
      guard scale.shape.dimensions.count == 2, scale.shape.dimensions[0] == rows, scale.shape.dimensions[1] > 0 else {
        throw weight.mismatch()
      }
      groups = scale.shape.dimensions[1]
      let size = try weight.groupSize(columns: columns, groups: groups, configuration)
      placement = .grid(rows: 1, columns: size, matrixRows: rows, gridRows: rows, gridColumns: groups)
    }
    if let index = weight[.groupIndex], index.shape.elementCount != columns { throw weight.mismatch(.groupIndex) }
    let scaleCount = placement.count(rows: rows, columns: columns)
    return WeightDecoder(
      info: info, packing: .rows(bits: bits, bytesPerRow: words * 4), values: CodeTable.offsetIntegers(bits: bits),
      scales: placement
    ) { bytes throws(StorageError) in
      var steps = QuantizationSteps(scales: try bytes.numbers(.scale), groupIndex: try bytes.integers(.groupIndex))
      // A group index of −1 stands for one that was never set.
      if steps.groupIndex.allSatisfy({ $0 == -1 }) { steps.groupIndex = [] }
      guard let zero = weight[.zeroPoint] else { return steps }
      if zero.dtype == .i32 {
        guard placement != .whole, zero.shape.dimensions == [roundedUp(rows * bits, by: 32), groups] else {
          throw weight.mismatch(.zeroPoint)
        }
        let packed = try bytes.integers(.zeroPoint)
        steps.zeros = (0..<scaleCount).map { place in
          let (row, group) = place.quotientAndRemainder(dividingBy: groups)
          let code = CodePacking.code(at: row * bits, bits) {
            UInt32(truncatingIfNeeded: packed[$0 * groups + group])
          }
          return Float(Int(code) - 1 << (bits - 1))
        }
      } else {
        guard zero.shape.elementCount == scaleCount else { throw weight.mismatch(.zeroPoint) }
        steps.zeros = try bytes.integers(.zeroPoint).map { Float($0) }
      }
      return steps
    }
  }
}

extension CodedWeight {
  /// The width of the codes that fits their tensor.
  ///
  /// - Parameter known: what the configuration says; empty for nothing.
  fileprivate func bits(among known: Set<Int>, where fits: (Int) -> Bool) throws(StorageError) -> Int {
    let fitting = (1...8).filter(fits)
    let candidates = fitting.filter { known.isEmpty || known.contains($0) }
    guard let bits = candidates.first else { throw mismatch(fitting.isEmpty ? .shape : .scale) }
    guard candidates.count == 1 else {
      throw StorageError(
        .unsupportedFeature,
        "is of codes of \(candidates.map(String.init).joined(separator: " or ")) bits, and no configuration says which: keep the model's config.json beside it",
        tensor: codes.name)
    }
    return bits
  }

  /// How many columns share a scale: all groups but the last are full.
  func groupSize(
    columns: Int, groups: Int, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> Int {
    let known = configuration?.groupSizes.filter { $0 > 0 && roundedUp(columns, by: $0) == groups } ?? []
    if let size = known.max() { return size }
    guard columns.isMultiple(of: groups) else { throw mismatch() }
    return columns / groups
  }
}
