import TMPackByteIO
import TMPackTensorKit

extension WeightDecoder {
  /// GPTQ and AWQ, whose tensors have the same names: the shapes and the configuration's method tell which.
  static func gptqOrAWQ(
    _ weight: CodedWeight, _ configuration: QuantizationConfiguration?
  ) throws(StorageError) -> WeightDecoder {
    guard let configuration, configuration.method != QuantizationConfiguration.unnamed else {
      // Zero points of two versions differ by one, and nothing but the configuration tells them apart.
      throw StorageError(
        .unsupportedFeature,
        "is of GPTQ or AWQ, and no configuration says how it is packed: keep the model's config.json beside it",
        tensor: weight.codes.name)
    }
    let isAWQ: Bool
    switch configuration.method {
    case "gptq": isAWQ = false
    case "awq": isAWQ = true
    case "auto-round", "intel/auto-round": isAWQ = configuration.text("packing_format")?.hasEnding("awq") ?? false
    default:
      throw StorageError(
        .unsupportedFeature, "has the tensors of GPTQ or AWQ, and the configuration says \"\(configuration.method)\"",
        tensor: weight.codes.name)
    }
    // What another method or version means by the same names may have any shapes.
    let version = isAWQ ? try AWQVersion(configuration, of: weight) : nil
    guard weight.codes.shape.dimensions.count == 2, weight.codes.dtype == .i32, let scale = weight[.scale],
      scale.shape.dimensions.count == 2, scale.dtype.floatFormat != nil, weight[.bias] == nil
    else { throw weight.mismatch() }
    let zeros = try weight.required(.zeroPoint, "qzeros")
    guard zeros.shape.dimensions.count == 2, zeros.dtype == .i32 else { throw weight.mismatch(.zeroPoint) }
    guard let version else { return try gptq(weight, configuration) }
    return try awq(weight, version, configuration)
  }

  /// How AWQ lays codes out.
  private enum AWQVersion {
    case gemm, gemv

    /// - Throws: `unsupportedFeature` for one that is not decoded here.
    init(_ configuration: QuantizationConfiguration, of weight: CodedWeight) throws(StorageError) {
      let version =
        configuration.text("version") ?? configuration.text("checkpoint_format") ?? configuration.text("format")
        ?? "gemm"
      switch version {
      case "gemm", "awq", "auto_round:awq", "auto_round:auto_awq": self = .gemm
      case "gemv": self = .gemv
      default:
        throw StorageError(
          .unsupportedFeature, "is of AWQ in the version \"\(version)\", which is not decoded here",
          tensor: weight.codes.name)
      }
    }
  }

  /// GPTQ of 2 to 8 bits: `qweight` [⌈in · bits ÷ 32⌉, out], `qzeros` [groups, ⌈out · bits ÷ 32⌉], `scales` [groups, out],
  /// `g_idx` [in]. 5, 6 and 7 bits lie in planes, 3 bits in the format `gptq_p`.
  ///
  /// The first version keeps zero points less one: of 2, 4 and 8 bits taken from the whole word, so that a borrow runs on
  /// into the next; of the others from each.
  private static func gptq(
    _ weight: CodedWeight, _ configuration: QuantizationConfiguration
  ) throws(StorageError) -> WeightDecoder {
    let (scale, zero) = (weight[.scale]!, weight[.zeroPoint]!)
    let format = configuration.text("checkpoint_format") ?? configuration.text("format") ?? "gptq"
    let isFirst: Bool
    switch format {
    case "gptq", "auto_round:gptq", "auto_round:auto_gptq": isFirst = true
    case "gptq_v2", "gptq_p": isFirst = false
    default:
      throw StorageError(
        .unsupportedFeature, "is of GPTQ in the format \"\(format)\", which is not decoded here",
        tensor: weight.codes.name)
    }
    func isPlanar(_ bits: Int) -> Bool { (5...7).contains(bits) || (bits == 3 && format == "gptq_p") }
    let (groups, outputs) = (scale.shape.dimensions[0], scale.shape.dimensions[1])
    guard groups > 0, outputs > 0, weight.codes.shape.dimensions[1] == outputs, zero.shape.dimensions[0] == groups
    else {
      throw weight.mismatch()
    }
    let bits = try weight.wordBits(in: zero.shape.dimensions[1], configuration) { bits in
      isPlanar(bits) ? roundedUp(outputs, by: 32) * bits : roundedUp(outputs * bits, by: 32)
    }
    let words = weight.codes.shape.dimensions[0]
    let index = weight[.groupIndex]
    let inputs: Int
    if let index {
      inputs = index.shape.elementCount
    } else {
      inputs = try words.multiplied(by: 32, "the number of inputs") / bits
    }
    let isPlanar = isPlanar(bits)
    guard inputs > 0, isPlanar ? roundedUp(inputs, by: 32) * bits == words : roundedUp(inputs * bits, by: 32) == words
    else { throw weight.mismatch(index == nil ? .scale : .groupIndex) }
    let size = index == nil ? try weight.groupSize(columns: inputs, groups: groups, configuration) : 1
    return WeightDecoder(
      info: try TensorInfo(name: weight.name, dtype: scale.dtype, shape: Shape([outputs, inputs])),
      packing: isPlanar ? .planes(bits: bits, outputs: outputs) : .columns(bits: bits, outputs: outputs),
      values: CodeTable.integers(bits: bits), scales: .columns(groupSize: size, groups: groups, outputs: outputs)
    ) { bytes throws(StorageError) in
      let width = zero.shape.dimensions[1]
      let packed = try bytes.integers(.zeroPoint).map { UInt32(truncatingIfNeeded: $0) }
      let wholeWords: [Int: UInt32] = [2: 0x5555_5555, 4: 0x1111_1111, 8: 0x0101_0101]
      let ones = isFirst ? wholeWords[bits] : nil
      let zeros = (0..<groups * outputs).map { place -> Float in
        let (group, output) = place.quotientAndRemainder(dividingBy: outputs)
        let word = { packed[group * width + $0] &+ (ones ?? 0) }
        let code =
          isPlanar ? CodePacking.planar(output, bits, word) : CodePacking.code(at: output * bits, bits, word)
        return isFirst && ones == nil ? Float((Int(code) + 1) & (1 << bits - 1)) : Float(code)
      }
      return QuantizationSteps(
        scales: try bytes.numbers(.scale), zeros: zeros, groupIndex: try bytes.integers(.groupIndex))
    }
  }

  /// AWQ of 2 to 8 bits: `gemm` has `qweight` [in, ⌈out · bits ÷ 32⌉], `qzeros` [groups, ⌈out · bits ÷ 32⌉] and `scales` [groups,
  /// out], of 4 bits interleaved; `gemv` `qweight` [out, in ÷ 8] and `qzeros`, `scales` [out, groups] padded.
  private static func awq(
    _ weight: CodedWeight, _ version: AWQVersion, _ configuration: QuantizationConfiguration
  ) throws(StorageError) -> WeightDecoder {
    let (scale, zero) = (weight[.scale]!, weight[.zeroPoint]!)
    let codes = weight.codes.shape.dimensions
    guard !scale.shape.dimensions.contains(0), !codes.contains(0) else { throw weight.mismatch() }
    switch version {
    case .gemm:
      let (groups, outputs) = (scale.shape.dimensions[0], scale.shape.dimensions[1])
      let (inputs, words) = (codes[0], codes[1])
      guard zero.shape.dimensions == [groups, words] else { throw weight.mismatch(.zeroPoint) }
      let bits = try weight.wordBits(in: words, configuration) { roundedUp(outputs * $0, by: 32) }
      let packing = CodePacking.inputs(bits: bits, words: words, isInterleaved: bits == 4)
      let size = try weight.groupSize(columns: inputs, groups: groups, configuration)
      return WeightDecoder(
        info: try TensorInfo(name: weight.name, dtype: scale.dtype, shape: Shape([outputs, inputs])), packing: packing,
        values: CodeTable.integers(bits: bits), scales: .columns(groupSize: size, groups: groups, outputs: outputs)
      ) { bytes throws(StorageError) in
        let packed = try bytes.bytes(.zeroPoint)
        // Zero points lie as codes do, with groups for inputs.
        let zeros = packed.withUnsafeBytes { raw in
          var zeros = [Float](repeating: 0, count: groups * outputs)
          withUnsafeTemporaryAllocation(of: UInt8.self, capacity: groups) { column in
            for output in 0..<outputs {
              packing.read(row: output, of: raw, into: column)
              for group in 0..<groups { zeros[group * outputs + output] = Float(column[group]) }
            }
          }
          return zeros
        }
        return QuantizationSteps(scales: try bytes.numbers(.scale), zeros: zeros)
      }
    case .gemv:
      let (outputs, words) = (codes[0], codes[1])
      let inputs = try words.multiplied(by: 8, "the number of inputs")
      let width = scale.shape.dimensions[1]
      let sizes = configuration.groupSizes.filter { $0 > 0 && inputs.isMultiple(of: $0) }
      guard scale.shape.dimensions[0] == outputs, zero.shape.dimensions[0] == outputs, let size = sizes.first,
        inputs / size <= width,
        zero.shape.dimensions[1].multipliedReportingOverflow(by: 8).partialValue >= inputs / size
      else { throw weight.mismatch() }
      let groups = inputs / size
      return WeightDecoder(
        info: try TensorInfo(name: weight.name, dtype: scale.dtype, shape: Shape([outputs, inputs])),
        packing: .rows(bits: 4, bytesPerRow: words * 4), values: CodeTable.integers(bits: 4),
        scales: .grid(rows: 1, columns: size, matrixRows: outputs, gridRows: outputs, gridColumns: groups)
      ) { bytes throws(StorageError) in
        let all = try bytes.numbers(.scale)
        let packed = try bytes.bytes(.zeroPoint)
        let bytesPerRow = zero.shape.dimensions[1] * 4
        var steps = QuantizationSteps(scales: [])
        for output in 0..<outputs {
          for group in 0..<groups {
            steps.scales.append(all[output * width + group])
            let byte = packed[output * bytesPerRow + group / 2]
            steps.zeros.append(Float(group & 1 == 0 ? byte & 15 : byte >> 4))
          }
        }
        return steps
      }
    }
  }
}

extension CodedWeight {
  /// Bits of the codes for which so many words are needed; of several, what the configuration says.
  fileprivate func wordBits(
    in words: Int, _ configuration: QuantizationConfiguration, needed: (Int) -> Int
  ) throws(StorageError) -> Int {
    let fitting = (2...8).filter { needed($0) == words }
    let known = configuration.integerWidths
    guard let bits = fitting.first(where: known.contains) ?? (fitting.count == 1 ? fitting[0] : nil) else {
      throw mismatch(.zeroPoint)
    }
    return bits
  }
}
