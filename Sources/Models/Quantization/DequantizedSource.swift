import TMPackByteIO
import TMPackTensorKit

/// Another source with numbers in place of the codes that some of its weights are kept as.
///
/// Each weight is one tensor of its module's name, in the dtype that the library of its scheme gives. Scales, and what else
/// belongs to codes, are gone. Weights are decoded when they are read, as exactly as binary32 allows, and rounded once.
///
/// Memory while reading one weight: its codes, its scales in binary32, and its numbers.
package struct DequantizedSource: SourceView {
  package let tensors: [TensorInfo]
  package let notes: [String]
  package let source: any TensorSource
  private let decoders: [ExactString: (weight: CodedWeight, decoder: WeightDecoder)]

  /// - Parameter quantization: of `source`.
  /// - Throws: `malformed` where tensors do not fit each other; `unsupportedFeature`, naming scheme and tensor, for what is
  ///   not decoded; what reading `source` throws.
  package init(_ source: any TensorSource, _ quantization: Quantization) throws(StorageError) {
    let weights = quantization.weights
    var decoders: [ExactString: (weight: CodedWeight, decoder: WeightDecoder)] = [:]
    let codes = weights.names
    var infos = source.tensors.filter { !codes.contains(ExactString($0.name)) }
    for weight in weights.weights {
      try located(file: source.label, tensor: weight.codes.name) { () throws(StorageError) in
        let decoder = try WeightDecoder(
          weight, in: source, quantization.configuration(of: weight.name))
        guard decoders.updateValue((weight, decoder), forKey: ExactString(weight.name)) == nil,
          codes.contains(ExactString(weight.name)) || source.tensor(named: weight.name) == nil
        else { throw StorageError(.malformed, "is there as codes and otherwise, too", tensor: weight.name) }
        infos.append(decoder.info)
      }
    }
    tensors = infos.sortedByName()
    self.decoders = decoders
    self.source = source
    notes = source.notes + Self.notes(weights)
  }

  private static func notes(_ weights: CodedWeights) -> [String] {
    var counts: [QuantizationScheme: Int] = [:]
    for weight in weights.weights { counts[weight.scheme, default: 0] += 1 }
    var notes = QuantizationScheme.allCases.compactMap { scheme in
      counts[scheme].map { "\($0) \($0 == 1 ? "weight was" : "weights were") decoded: \(scheme.rawValue)" }
    }
    if let first = weights.attendants.first {
      notes.append(
        "\(weights.attendants.count) tensors that only go with codes are left out (\(first.name))")
    }
    return notes
  }

  /// Those of tensors that are still there.
  package var ties: [String: String] {
    source.ties.filter { tensor(named: $0.key) != nil && tensor(named: $0.value) != nil }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { decoders[ExactString(info.name)] == nil ? info : nil }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard let (weight, decoder) = decoders[ExactString(info.name)] else {
      return try source.read(info, into: destination)
    }
    try located(file: label, tensor: info.name) { () throws(StorageError) in
      try decoder.decode(CodedBytes(of: weight, in: source), into: destination)
    }
  }

  /// Rows are decoded by themselves, and of transposed ones the matrices.
  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    guard let (weight, decoder) = decoders[ExactString(info.name)] else { return try source.spanned(info) }
    guard info.byteCount > 0 else { return nil }
    let (source, label) = (source, label)
    let unit = decoder.unitBytes
    let length = max(unit, OpenTensor.runBytes / unit * unit)
    return SpannedTensor(length: length, granularity: unit) { _ throws(StorageError) in
      let bytes = try located(file: label, tensor: info.name) { () throws(StorageError) in
        try CodedBytes(of: weight, in: source)
      }
      let decode = try decoder.prepared(bytes)
      return { start, target throws(StorageError) in
        try located(file: label, tensor: info.name) { () throws(StorageError) in
          try decode(start / unit..<(start + target.count) / unit, target)
        }
      }
    }
  }
}
