import Synchronization
import TMPackByteIO
import TMPackTensorKit

/// A model's numbers as codes again, in the scheme, layout and names of another that was kept so: FP8 with a scale for the tensor, a row, a group
/// or a block.
///
/// A scale is the largest magnitude of its numbers divided by the largest code, rounded to the dtype that it had; a code is the nearest to
/// number ÷ scale, as stored, and what rounding makes too large is the largest code.
///
/// Memory while reading a weight's codes or scales: its numbers in binary32. Both are made at once, and the second one asked for is kept.
package final class RequantizedSource: TensorSource {
  package let tensors: [TensorInfo]
  private let source: any TensorSource
  private let weights: [ExactString: Weight]
  private let state = Mutex(State())

  private struct Weight {
    let coded: CodedWeight
    let decoder: WeightDecoder
    let codes: Float8
    let scale: TensorInfo
    let scaleFormat: FloatFormat
  }

  private struct State {
    /// Codes or scales that nobody has asked for yet, by name.
    var made: [ExactString: TensorBytes] = [:]
    var errors: [ExactString: (energy: Double, lost: Double)] = [:]
  }

  /// - Parameters:
  ///   - source: the model as numbers.
  ///   - coded: the model whose layout it gets.
  ///   - quantization: of `coded`.
  /// - Throws: `unsupportedFeature` for another scheme, or one that has more than scales of the weights; `shapeMismatch` where `source` lacks a weight.
  package init(
    _ source: any TensorSource, as coded: any TensorSource, _ quantization: Quantization
  ) throws(StorageError) {
    func refusal(_ why: String, _ tensor: TensorInfo?) -> StorageError {
      StorageError(.unsupportedFeature, why, file: coded.label, tensor: tensor?.name)
    }
    guard !quantization.weights.isEmpty else { throw refusal("has no codes whose like could be written", nil) }
    if let attendant = quantization.weights.attendants.first {
      throw refusal("is a scale of activations, which nobody has measured of the new weights", attendant)
    }
    var weights: [ExactString: Weight] = [:]
    var infos = source.tensors
    var numbers: Set<ExactString> = []
    for weight in quantization.weights.weights {
      guard weight.scheme == .scaledFloats, let scale = weight[.scale], weight.parts.count == 2,
        let codes: Float8 = weight.codes.dtype == .f8e4m3 ? .e4m3 : weight.codes.dtype == .f8e5m2 ? .e5m2 : nil,
        let format = scale.dtype.floatFormat
      else {
        throw refusal(
          "is kept as \(weight.scheme.rawValue): only E4M3 and E5M2 with scales can be written", weight.codes)
      }
      let decoder = try located(file: coded.label) { () throws(StorageError) in
        try WeightDecoder(weight, in: coded, quantization.configuration(of: weight.name))
      }
      guard let own = source.tensor(named: weight.name), own.shape == decoder.info.shape, own.dtype.floatFormat != nil,
        decoder.scales.count(of: own.shape) == scale.shape.elementCount
      else {
        throw StorageError(
          .shapeMismatch, "is not there in the shape that \(coded.label) has, and cannot be written as codes",
          file: source.label, tensor: weight.name)
      }
      numbers.insert(ExactString(weight.name))
      let made = Weight(coded: weight, decoder: decoder, codes: codes, scale: scale, scaleFormat: format)
      for part in weight.parts { weights[ExactString(part.name)] = made }
    }
    infos.removeAll { numbers.contains(ExactString($0.name)) }
    tensors = (infos + quantization.weights.weights.flatMap(\.parts)).sortedByName()
    self.source = source
    self.weights = weights
  }

  package var label: String { source.label }
  package var metadata: [String: String] { source.metadata }
  package var typedMetadata: TypedMetadata { source.typedMetadata }
  package var notes: [String] { source.notes }
  package var ties: [String: String] {
    source.ties.filter { tensor(named: $0.key) != nil && tensor(named: $0.value) != nil }
  }

  /// ‖numbers − decoded codes‖ ÷ ‖numbers‖ over all weights that were read.
  package var relativeError: Double {
    let errors = state.withLock { $0.errors }.sorted { $0.key.text.precedesInBytes($1.key.text) }.map(\.value)
    let (energy, lost) = errors.reduce((0, 0)) { ($0.0 + $1.energy, $0.1 + $1.lost) }
    return energy > 0 ? (lost / energy).squareRoot() : 0
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard weights[ExactString(info.name)] != nil else { return try source.read(info, into: destination) }
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    guard let weight = weights[ExactString(info.name)] else { return try source.bytes(of: info) }
    if let made = state.withLock({ $0.made.removeValue(forKey: ExactString(info.name)) }) { return made }
    let (codes, scales) = try located(file: label, tensor: weight.coded.name) { () throws(StorageError) in
      try encode(weight)
    }
    let isCodes = info.name.hasSameBytes(as: weight.coded.codes.name)
    let other = ExactString(isCodes ? weight.scale.name : weight.coded.codes.name)
    state.withLock { $0.made[other] = isCodes ? scales : codes }
    return isCodes ? codes : scales
  }

  private func encode(_ weight: Weight) throws(StorageError) -> (codes: TensorBytes, scales: TensorBytes) {
    let own = source.tensor(named: weight.coded.name)!
    let count = own.shape.elementCount
    let numbers = try source.bytes(of: own).withBytes { raw in
      [Float](unsafeUninitializedCapacity: count) { values, initialized in
        own.dtype.floatFormat!.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
        initialized = count
      }
    }
    guard let place = numbers.firstIndex(where: { !$0.isFinite }) else {
      return try encode(numbers, weight)
    }
    throw StorageError(.nonFinite, "element \(place) is not finite, and has no code")
  }

  private func encode(
    _ numbers: [Float], _ weight: Weight
  ) throws(StorageError) -> (codes: TensorBytes, scales: TensorBytes) {
    let (rows, columns, scaleCount) = (weight.decoder.rows, weight.decoder.columns, weight.scale.shape.elementCount)
    let group = try weight.decoder.scales.groups(columns: columns, QuantizationSteps(scales: []))
    var scales = [Float](repeating: 0, count: scaleCount)
    func place(_ row: Int, _ column: Int) -> Int {
      weight.decoder.scales.first(ofRow: row, columns: columns) + group.place(column, row: row, columns: columns)
    }
    for row in 0..<rows {
      for column in 0..<columns {
        let place = place(row, column)
        scales[place] = max(scales[place], numbers[row * columns + column].magnitude)
      }
    }
    for place in scales.indices { scales[place] = scales[place] == 0 ? 1 : scales[place] / weight.codes.largest }
    let stored = TensorBytes(count: weight.scale.byteCount) { bytes in
      scales.withUnsafeBufferPointer { weight.scaleFormat.round($0, into: bytes) }
    }
    // As they will be read. One that rounds to nothing has numbers that are nothing, too.
    try stored.withBytes { raw in scales.withUnsafeMutableBufferPointer { weight.scaleFormat.widen(raw, into: $0) } }
    var (energy, lost) = (0.0, 0.0)
    let codes = TensorBytes(count: weight.coded.codes.byteCount) { bytes in
      for row in 0..<rows {
        for column in 0..<columns {
          let (number, scale) = (numbers[row * columns + column], scales[place(row, column)])
          let most = weight.codes.largest
          let code = weight.codes.bits(scale == 0 ? 0 : min(max(number / scale, -most), most))
          bytes[row * columns + column] = code
          let error = Double(number) - Double(weight.codes.float(bits: code)) * Double(scale)
          energy += Double(number) * Double(number)
          lost += error * error
        }
      }
    }
    state.withLock { $0.errors[ExactString(weight.coded.name)] = (energy, lost) }
    return (codes, stored)
  }
}
