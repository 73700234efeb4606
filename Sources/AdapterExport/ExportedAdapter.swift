import Synchronization
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// The tensors of `adapter_model.safetensors`, made as they are read.
///
/// Memory while reading one: the sides of its update in binary32, and of a matrix that is approximated its elements and
/// what its decomposition takes.
final class ExportedAdapter: TensorSource {
  package let tensors: [TensorInfo]
  package var label: String { export.mix.label }

  private let export: AdapterExport
  private let parts: [ExactString: Part]
  private let pairs: [(a: TensorInfo, b: TensorInfo)]
  /// What is read next to its other side, which is made with it; and what has been lost.
  private let state = Mutex(State())

  private enum Part: Sendable {
    case side(Int, isA: Bool)
    case stackedSide(Int, isA: Bool)
    case whole(TensorInfo)
  }

  private struct State {
    var products: [Int: LowRankProduct] = [:]
    /// Sides of a stack that are asked for next.
    var sides: [Int: [Float]] = [:]
    var losses: [Int: AdapterExport.Loss] = [:]
  }

  init(_ export: AdapterExport) throws(StorageError) {
    self.export = export
    var parts: [ExactString: Part] = [:]
    var tensors: [TensorInfo] = []
    func add(_ name: String, _ dtype: DType, _ shape: [Int], _ part: Part) throws(StorageError) {
      let name = "base_model.model." + export.prefix + name
      tensors.append(try TensorInfo(name: name, dtype: dtype, shape: try Shape(shape)))
      parts[ExactString(name)] = part
    }
    for (index, update) in export.updates.enumerated() {
      let rank = export.isPadded ? export.rank : update.rank
      let dimensions = update.info.shape.dimensions
      let names =
        update.kind == .embedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight")
      let isTransposed = update.kind == .embedding || update.kind == .transposed
      let (outputs, inputs) = isTransposed ? (dimensions[1], [dimensions[0]]) : (dimensions[0], Array(dimensions[1...]))
      let ones = [Int](repeating: 1, count: dimensions.count - 2)
      let dtype = export.options.dtype.dtype
      try add("\(update.module).\(names.0)", dtype, [rank] + inputs, .side(index, isA: true))
      try add("\(update.module).\(names.1)", dtype, [outputs, rank] + ones, .side(index, isA: false))
    }
    for (index, update) in export.stackedUpdates.enumerated() {
      // peft wraps the module once for each parameter, the first one innermost.
      let isLast = index + 1 == export.stackedUpdates.count || export.stackedUpdates[index + 1].module != update.module
      let module = update.module + (isLast ? "" : ".base_layer")
      let (height, dtype) = (export.rank * update.count, export.options.dtype.dtype)
      try add("\(module).lora_A.weight", dtype, [height, update.inputs], .stackedSide(index, isA: true))
      try add("\(module).lora_B.weight", dtype, [update.outputs, height], .stackedSide(index, isA: false))
    }
    for (name, info) in export.wholeTensors { try add(name, info.dtype, info.shape.dimensions, .whole(info)) }
    pairs = (0..<export.updates.count).map { (tensors[2 * $0], tensors[2 * $0 + 1]) }
    self.tensors = tensors.sortedByName()
    self.parts = parts
  }

  /// A and B of an update.
  func sides(ofUpdate index: Int) -> (a: TensorInfo, b: TensorInfo) { pairs[index] }

  func isEmbedding(update index: Int) -> Bool { export.updates[index].kind == .embedding }

  /// What was lost, by update; complete when all tensors have been read.
  package var losses: [(update: AdapterExport.Update, loss: AdapterExport.Loss)] {
    let losses = state.withLock { $0.losses }
    return export.updates.indices.compactMap { index in losses[index].map { (export.updates[index], $0) } }
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch parts[ExactString(info.name)] {
    case .whole(let own): try export.mix.read(own, into: destination)
    case .side(let index, let isA):
      try write(try product(index), isA, of: export.updates[index], info, into: destination)
    case .stackedSide(let index, let isA):
      try round(try stackedSide(index, isA), info, of: export.stackedUpdates[index].name, into: destination)
    case nil: throw unknown(info)
    }
  }

  /// Made when the first side is asked for, kept for the second, which the file has next to it.
  private func product(_ index: Int) throws(StorageError) -> LowRankProduct {
    if let kept = state.withLock({ $0.products.removeValue(forKey: index) }) { return kept }
    let (product, loss) = try export.product(export.updates[index])
    state.withLock { state in
      // The other side's thread may have made it meanwhile; then nobody asks again.
      let isFirst = state.losses.updateValue(loss, forKey: index) == nil
      state.products[index] = isFirst ? product : nil
    }
    return product
  }

  private func write(
    _ product: LowRankProduct, _ isA: Bool, of update: AdapterExport.Update, _ info: TensorInfo,
    into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    // B · A is the weight or its transpose; the rank of A is its first side, that of B its second.
    let isTransposed = update.kind == .embedding || update.kind == .transposed
    let rank = info.shape.dimensions[isA ? 0 : 1]
    var values: [Float]
    switch (isA, isTransposed) {
    case (true, false): values = product.right
    case (true, true): values = product.left.transposed(rows: product.rows, columns: product.rank)
    case (false, false): values = product.left.padded(from: product.rank, to: rank)
    case (false, true):
      values = product.right.transposed(rows: product.rank, columns: product.columns)
        .padded(from: product.rank, to: rank)
    }
    values += [Float](repeating: 0, count: info.shape.elementCount - values.count)
    try round(values, info, of: update.info.name, into: destination)
  }

  /// Both are made together, and the one is kept until it is asked for.
  private func stackedSide(_ index: Int, _ isA: Bool) throws(StorageError) -> [Float] {
    let key = 2 * index + (isA ? 0 : 1)
    if let kept = state.withLock({ $0.sides.removeValue(forKey: key) }) { return kept }
    let (a, b) = try export.sides(of: export.stackedUpdates[index], rank: export.rank)
    state.withLock { $0.sides[key ^ 1] = isA ? b : a }
    return isA ? a : b
  }

  private func round(
    _ values: [Float], _ info: TensorInfo, of name: String, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    values.withUnsafeBufferPointer { export.options.dtype.round($0, into: destination) }
    if let place = export.options.dtype.firstNonFinite(UnsafeRawBufferPointer(destination)) {
      throw StorageError(
        .nonFinite, "element \(place) is not finite as \(export.options.dtype.dtype.rawValue)", file: label,
        tensor: name)
    }
  }
}

extension [Float] {
  /// The rows of a row-major matrix made longer with zeros.
  fileprivate func padded(from columns: Int, to width: Int) -> [Float] {
    guard width > columns else { return self }
    var result = [Float](repeating: 0, count: count / columns * width)
    for i in 0..<count / columns {
      for k in 0..<columns { result[i * width + k] = self[i * columns + k] }
    }
    return result
  }
}
