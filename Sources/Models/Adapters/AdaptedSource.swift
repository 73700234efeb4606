import ByteIO
import Checkpoints
import Factorization
import TensorKit

/// A base with a LoRA adapter merged into it, one tensor at a time as it is read.
///
/// W′ = W + s · (B · A), as peft's `merge_and_unload` does it, in binary32: the product by fused multiply-adds in order of
/// the rank's index, then s times it, then the sum, each rounded once; the result is rounded to W's dtype. peft sums the
/// product in another order, so that the two may differ in the last bits. Adapters and bases in half precision are
/// widened first, where peft may round the product to their dtype. For F64 the last sum is in binary64. The bits do not
/// depend on the machine.
///
/// With DoRA each output of W′ is scaled to its magnitude: W″ = m · W′ ÷ ‖W′‖, the norms summed in binary64.
///
/// Memory while reading one tensor: its bytes, those of A and B, and its elements twice in binary32.
public struct AdaptedSource: TensorSource {
  public let tensors: [TensorInfo]
  public let label: String
  public let notes: [String]
  private let base: any TensorSource
  private let adapter: LoRAAdapter
  private let changes: [ExactString: Change]

  /// How a tensor comes about that is not the base's.
  private struct Change: Sendable {
    /// A tensor of the adapter's that stands in for the base's.
    var whole: TensorInfo?
    var update: AdapterTargets.Update?
  }

  /// - Throws: `shapeMismatch` for an adapter of another base; what `AdapterTargets` throws.
  public init(_ adapter: LoRAAdapter, on base: any TensorSource) throws(StorageError) {
    let targets = try AdapterTargets(of: adapter, in: base)
    var changes: [ExactString: Change] = [:]
    var infos: [ExactString: TensorInfo] = [:]
    for info in base.tensors { infos[ExactString(info.name)] = info }
    for (name, update) in targets.updates { changes[ExactString(name), default: Change()].update = update }
    for (name, whole, own) in targets.wholeTensors {
      // As when peft loads it: in the dtype of the model.
      let isConverted = own?.dtype.floatFormat != nil && whole.dtype.floatFormat != nil
      let info = try TensorInfo(name: name, dtype: isConverted ? own!.dtype : whole.dtype, shape: whole.shape)
      if let update = changes[ExactString(name)]?.update, !info.matches(update.base) {
        throw StorageError(
          .shapeMismatch,
          "is \(info.dtype.rawValue) \(info.shape), and the update of its module is for \(update.base.shape)",
          file: adapter.source.label, tensor: whole.name)
      }
      changes[ExactString(name), default: Change()].whole = whole
      infos[ExactString(name)] = info
    }
    tensors = Array(infos.values).sortedByName()
    label = adapter.path
    notes = Self.notes(adapter, targets)
    self.base = base
    self.adapter = adapter
    self.changes = changes
  }

  public var metadata: [String: String] { base.metadata }
  public var typedMetadata: TypedMetadata { base.typedMetadata }

  private static func notes(_ adapter: LoRAAdapter, _ targets: AdapterTargets) -> [String] {
    var notes = ["LoRA updates: \(targets.updates.count), whole tensors: \(targets.wholeTensors.count)"]
    switch targets.prefix {
    case .same: break
    case .added(let prefix): notes.append("the base's names begin with \"\(prefix)\", the adapter's do not")
    case .removed(let prefix): notes.append("the adapter's names begin with \"\(prefix)\", the base's do not")
    }
    let added = targets.wholeTensors.filter { $0.base == nil }
    if let first = added.first {
      notes.append("\(added.count) of the whole tensors are not in the base (\(first.name))")
    }
    return notes
  }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let unadapted = try unadapted(info)
    guard let update = changes[ExactString(info.name)]?.update, let format = info.dtype.floatFormat else {
      return try unadapted.withBytes { destination.copyMemory(from: $0) }
    }
    let product = try product(update)
    let magnitude = try update.update.magnitude.map { info throws(StorageError) in try floats(info) }
    try unadapted.withBytes { raw in
      if format == .f64 {
        Self.merge(raw, product, magnitude, update, format, as: Double.self, into: destination)
      } else {
        Self.merge(raw, product, magnitude, update, format, as: Float.self, into: destination)
      }
    }
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    guard changes[ExactString(info.name)]?.update != nil else { return try unadapted(info) }
    return try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
  }

  /// What the update is added to: the base's tensor, or the adapter's in its place.
  package func unadapted(_ info: TensorInfo) throws(StorageError) -> TensorBytes {
    guard let whole = changes[ExactString(info.name)]?.whole else {
      return try base.bytes(of: base.tensor(named: info.name)!)
    }
    let bytes = try adapter.source.bytes(of: whole)
    guard whole.dtype != info.dtype, let from = whole.dtype.floatFormat, let to = info.dtype.floatFormat else {
      return bytes
    }
    return try bytes.withBytes { raw in TensorBytes(count: info.byteCount) { from.convert(raw, to: to, into: $0) } }
  }

  /// What is added to `unadapted`; nil where nothing is, or where DoRA scales the sum.
  package func product(of info: TensorInfo) throws(StorageError) -> LowRankProduct? {
    guard let update = changes[ExactString(info.name)]?.update, update.update.magnitude == nil else { return nil }
    return try product(update)
  }

  private func product(_ target: AdapterTargets.Update) throws(StorageError) -> LowRankProduct {
    let update = target.update
    let (a, b) = (try floats(update.a), try floats(update.b))
    let (rank, outputs, inputs) = (update.rank, update.outputs, update.inputs)
    if target.isTransposed {
      return LowRankProduct(
        rows: inputs, columns: outputs, rank: rank, left: a.transposed(rows: rank, columns: inputs),
        right: b.transposed(rows: outputs, columns: rank), scale: update.scale)
    }
    return LowRankProduct(rows: outputs, columns: inputs, rank: rank, left: b, right: a, scale: update.scale)
  }

  private func floats(_ info: TensorInfo) throws(StorageError) -> [Float] {
    guard let format = info.dtype.floatFormat else { preconditionFailure("an adapter's tensors are of float dtypes") }
    return try adapter.source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
  }

  private static func merge<Scalar: Accumulator>(
    _ raw: UnsafeRawBufferPointer, _ product: LowRankProduct, _ magnitude: [Float]?, _ target: AdapterTargets.Update,
    _ format: FloatFormat, as _: Scalar.Type, into destination: UnsafeMutableRawBufferPointer
  ) {
    let delta = product.elements()
    var sum = [Scalar](repeating: 0, count: delta.count)
    sum.withUnsafeMutableBufferPointer { sum in
      format.widen(raw, into: sum)
      for i in 0..<sum.count { sum[i] += Scalar(delta[i]) }
      if let magnitude { scale(sum, to: magnitude, isTransposed: target.isTransposed) }
      format.round(UnsafeBufferPointer(sum), into: destination)
    }
  }

  /// Gives each output, a row or when transposed a column, its magnitude as norm.
  private static func scale<Scalar: Accumulator>(
    _ values: UnsafeMutableBufferPointer<Scalar>, to magnitude: [Float], isTransposed: Bool
  ) {
    let outputs = magnitude.count
    let inputs = values.count / outputs
    let (outputStep, inputStep) = isTransposed ? (1, outputs) : (inputs, 1)
    for output in 0..<outputs {
      var squares = 0.0
      for input in 0..<inputs {
        let value = values[output * outputStep + input * inputStep].asDouble
        squares += value * value
      }
      // As peft: the magnitude over the norm, then the weight times that.
      let factor = Scalar(magnitude[output] / Float(squares.squareRoot()))
      for input in 0..<inputs { values[output * outputStep + input * inputStep] *= factor }
    }
  }
}
