import TMPackByteIO
import TMPackCheckpoints
import TMPackFactors
import TMPackTensorKit

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
package struct AdaptedSource: TensorSource {
  package let tensors: [TensorInfo]
  package let label: String
  package let notes: [String]
  let base: any TensorSource
  private let adapter: LoRAAdapter
  let changes: [ExactString: AdaptedTensor]
  /// What the adapted model's `config.json` says otherwise than the base's.
  package let configurationChanges: ConfigurationChanges
  /// What was tied in the base and is not any more.
  let untied: TiedEmbeddings?

  /// - Throws: `shapeMismatch` for an adapter of another base; what `AdapterTargets` throws.
  package init(_ adapter: LoRAAdapter, on base: AdapterBase) throws(StorageError) {
    let targets = try AdapterTargets(of: adapter, in: base)
    var infos: [ExactString: TensorInfo] = [:]
    for info in base.source.tensors { infos[ExactString(info.name)] = info }
    for (name, tensor) in targets.tensors { infos[name] = tensor.info }
    tensors = Array(infos.values).sortedByName()
    label = adapter.path
    changes = targets.tensors
    untied = targets.untied
    configurationChanges = try Self.configurationChanges(targets, base, adapter)
    notes = Self.notes(adapter, targets)
    self.base = base.source
    self.adapter = adapter
  }

  package var metadata: [String: String] { base.metadata }
  package var typedMetadata: TypedMetadata { base.typedMetadata }

  private static func notes(_ adapter: LoRAAdapter, _ targets: AdapterTargets) -> [String] {
    var notes = ["LoRA updates: \(adapter.updates.count), whole tensors: \(adapter.wholeTensors.count)"]
    if !adapter.differences.isEmpty { notes.append("whole differences: \(adapter.differences.count)") }
    if !adapter.rows.isEmpty {
      notes.append("single tokens: \(adapter.rows.reduce(0) { $0 + $1.indexes.count })")
    }
    switch targets.prefix {
    case .same: break
    case .added(let prefix): notes.append("the base's names begin with \"\(prefix)\", the adapter's do not")
    case .removed(let prefix): notes.append("the adapter's names begin with \"\(prefix)\", the base's do not")
    }
    if let ties = targets.untied {
      notes.append("\(ties.head) and \(ties.embedding) are no longer tied, and the configuration says so")
    }
    if let ties = targets.updatedTie {
      notes.append(
        "\(ties.head) and \(ties.embedding) are tied: both change, as when PEFT merges; before merging, only the adapted module did"
      )
    }
    let added = targets.tensors.values.filter { $0.origin == nil }.map(\.info.name).min { $0.precedesInBytes($1) }
    if let added {
      notes.append(
        "\(targets.tensors.values.count { $0.origin == nil }) of the whole tensors are not in the base (\(added))")
    }
    return notes
  }

  /// As peft's merge leaves them: ties that are no more, and a vocabulary of another size.
  private static func configurationChanges(
    _ targets: AdapterTargets, _ base: AdapterBase, _ adapter: LoRAAdapter
  ) throws(StorageError) -> ConfigurationChanges {
    var changes = ConfigurationChanges()
    if targets.untied != nil { changes.tiesEmbeddings = false }
    changes.classifier = classifier(targets, base, adapter)
    guard case .integer(let size)? = base.member("vocab_size") else { return changes }
    // Tensors that had a row for each token, and have others now.
    let resized = targets.tensors.values.filter { tensor in
      guard let old = tensor.origin?.shape.dimensions, tensor.whole != nil, old.count == 2 else { return false }
      let new = tensor.info.shape.dimensions
      return old[0] == size && new.count == 2 && new[0] != old[0] && new[1] == old[1]
    }.sorted { $0.info.name.precedesInBytes($1.info.name) }
    guard let first = resized.first else { return changes }
    let count = first.info.shape.dimensions[0]
    if let other = resized.first(where: { $0.info.shape.dimensions[0] != count }) {
      throw StorageError(
        .shapeMismatch,
        "has \(other.info.shape.dimensions[0]) rows for the vocabulary, and \(first.info.name) \(count)",
        file: adapter.source.label, tensor: other.whole!.info.name)
    }
    try checkVocabulary(of: targets, base, adapter, from: Int(size), to: count)
    changes.vocabularySize = count
    return changes
  }

  /// A head that the base lacks or has for other labels: it tells as many apart as it has rows.
  private static func classifier(
    _ targets: AdapterTargets, _ base: AdapterBase, _ adapter: LoRAAdapter
  ) -> ConfigurationChanges.Classifier? {
    let task = adapter.configuration.taskType
    let heads = ModelArchitecture.heads(ofTask: "SEQ_CLS")
    let architecture = ModelArchitecture(name: base.architecture ?? "", modelType: base.modelType ?? "")
    guard let name = architecture.classifier(forTask: task) else { return nil }
    let head = targets.tensors.values.filter { tensor in
      let components = tensor.info.name.split(separator: ".")
      return tensor.whole != nil && tensor.info.shape.dimensions.count == 2
        && tensor.origin?.shape.dimensions.first != tensor.info.shape.dimensions[0]
        && components.last == "weight" && components.contains { heads.contains(String($0)) }
    }.max { $0.info.name.precedesInBytes($1.info.name) }
    return head.map { .init(architecture: name, labels: $0.info.shape.dimensions[0]) }
  }

  /// That no tensor with a row for each token has been left behind, as peft does where only one of embedding and output layer is adapted.
  private static func checkVocabulary(
    of targets: AdapterTargets, _ base: AdapterBase, _ adapter: LoRAAdapter, from size: Int, to count: Int
  ) throws(StorageError) {
    let left = base.source.tensors.first { info in
      let own = targets.tensors[ExactString(info.name)]?.info ?? info
      return own.shape.dimensions.first == size && TiedEmbeddings.ofVocabulary.contains(info.name)
        || own.shape.dimensions == [1, size] && info.name.hasSuffix("final_logits_bias")
    }
    guard let left else { return }
    throw StorageError(
      .shapeMismatch,
      "is of a vocabulary of \(count) tokens and lacks \(left.name), of which the base has \(size): save the merged model of PEFT instead",
      file: adapter.source.label)
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let begun = try unadapted(info)
    guard let change = changes[ExactString(info.name)], let format = info.dtype.floatFormat else {
      return try begun.withBytes { destination.copyMemory(from: $0) }
    }
    if change.updates.isEmpty && change.summands.isEmpty {
      try begun.withBytes { destination.copyMemory(from: $0) }
    } else if format == .f64 {
      try merge(begun, change, format, as: Double.self, into: destination)
    } else {
      try merge(begun, change, format, as: Float.self, into: destination)
    }
    for rows in change.rows { try replace(rows, of: info, format, in: destination) }
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    guard let change = changes[ExactString(info.name)], change.isComputed else { return try unadapted(info) }
    return try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
  }

  /// What the updates are added to: the base's tensor, or the adapter's in its place.
  package func unadapted(_ info: TensorInfo) throws(StorageError) -> TensorBytes {
    let change = changes[ExactString(info.name)]
    guard let whole = change?.whole?.info else {
      return try base.bytes(of: change?.origin ?? base.tensor(named: info.name)!)
    }
    let bytes = try adapter.source.bytes(of: whole)
    guard whole.dtype != info.dtype, let from = whole.dtype.floatFormat, let to = info.dtype.floatFormat else {
      return bytes
    }
    return try bytes.withBytes { raw in TensorBytes(count: info.byteCount) { from.convert(raw, to: to, into: $0) } }
  }

  /// The same for who reads it in parts.
  package func openUnadapted(_ info: TensorInfo) throws(StorageError) -> OpenTensor {
    let change = changes[ExactString(info.name)]
    guard change?.whole == nil else { return OpenTensor(try unadapted(info)) }
    return try base.opened(change?.origin ?? base.tensor(named: info.name)!)
  }

  /// What is added to `unadapted`; nil where nothing is, or where the sum is no more than a part of it.
  package func product(of info: TensorInfo) throws(StorageError) -> LowRankProduct? {
    guard let change = changes[ExactString(info.name)], !change.updates.isEmpty, change.rows.isEmpty,
      change.summands.isEmpty,
      change.updates.allSatisfy({ $0.update.magnitude == nil && $0.update.stackHeight == nil })
    else { return nil }
    let all = try change.updates.map { update throws(StorageError) in try product(update, matrix: 0) }
    return all.count == 1 ? all[0] : LowRankProduct(sumOf: all)
  }

  /// The same of a tensor of many matrices, each with updates of its own.
  ///
  /// Memory: E · rank · (rows + columns) floats for E matrices.
  package func products(of info: TensorInfo) throws(StorageError) -> (stack: MatrixStack, products: [LowRankProduct])? {
    guard let height = stackHeight(of: info) else { return nil }
    let all = try (0..<height).map { number throws(StorageError) in try self.product(of: info, matrix: number)! }
    let (rows, columns) = (all[0].rows, all[0].columns)
    guard let stack = MatrixStack([height, rows, 1, columns, 1], of: info.shape.elementCount) else { return nil }
    return (stack, all)
  }

  /// The same of one of the matrices.
  package func product(of info: TensorInfo, matrix: Int) throws(StorageError) -> LowRankProduct? {
    guard let height = stackHeight(of: info), (0..<height).contains(matrix) else { return nil }
    let all = try products(of: info, matrix: matrix)
    return all.count == 1 ? all[0] : LowRankProduct(sumOf: all)
  }

  /// Of each update.
  func products(of info: TensorInfo, matrix: Int) throws(StorageError) -> [LowRankProduct] {
    guard let updates = changes[ExactString(info.name)]?.updates else { throw unknown(info) }
    return try updates.map { update throws(StorageError) in try product(update, matrix: matrix) }
  }

  /// nil for a tensor to which something else is done.
  func stackHeight(of info: TensorInfo) -> Int? {
    guard let change = changes[ExactString(info.name)], let height = change.updates.first?.update.stackHeight,
      change.rows.isEmpty, change.summands.isEmpty,
      change.updates.allSatisfy({ $0.update.magnitude == nil && $0.update.stackHeight == height })
    else { return nil }
    return height
  }

  /// Whether no more than the updates is added to the base's own tensor.
  func hasUpdatesAlone(_ info: TensorInfo) -> Bool {
    guard let change = changes[ExactString(info.name)] else { return false }
    return change.summands.isEmpty && change.rows.isEmpty && change.whole == nil
  }

  /// A's rows are those of matrix after matrix, B's columns those of component after component.
  private func product(_ target: AdaptedTensor.Update, matrix: Int) throws(StorageError) -> LowRankProduct {
    let update = target.update
    let (rank, outputs, inputs, height) = (update.rank, update.outputs, update.inputs, update.stackHeight ?? 1)
    let right = try floats(update.a, Gathering(start: matrix * rank * inputs, count: rank * inputs, stride: 1))
    let left = try floats(update.b, Gathering(start: matrix, count: outputs * rank, stride: height))
    if target.isTransposed {
      return LowRankProduct(
        rows: inputs, columns: outputs, rank: rank, left: right.transposed(rows: rank, columns: inputs),
        right: left.transposed(rows: outputs, columns: rank), scale: update.scale)
    }
    return LowRankProduct(
      rows: outputs, columns: inputs, rank: rank, left: left, right: right, scale: update.scale)
  }

  /// Some elements of a tensor.
  private struct Gathering {
    let start: Int
    let count: Int
    let stride: Int
  }

  private func floats(_ info: TensorInfo, _ places: Gathering) throws(StorageError) -> [Float] {
    guard let format = info.dtype.floatFormat else { preconditionFailure("an adapter's tensors are of float dtypes") }
    let width = format.byteWidth
    return try adapter.source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: places.count) { values, count in
        let values = UnsafeMutableBufferPointer(rebasing: values[..<places.count])
        if places.stride == 1 {
          format.widen(
            UnsafeRawBufferPointer(rebasing: raw[places.start * width..<(places.start + places.count) * width]),
            into: values)
        } else {
          withUnsafeTemporaryAllocation(byteCount: places.count * width, alignment: 8) { gathered in
            for i in 0..<places.count {
              let place = (places.start + i * places.stride) * width
              UnsafeMutableRawBufferPointer(rebasing: gathered[i * width..<(i + 1) * width])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[place..<place + width]))
            }
            format.widen(UnsafeRawBufferPointer(gathered), into: values)
          }
        }
        count = places.count
      }
    }
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

  private func merge<Scalar: Accumulator>(
    _ begun: TensorBytes, _ change: AdaptedTensor, _ format: FloatFormat, as _: Scalar.Type,
    into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    var sum = [Scalar](repeating: 0, count: change.info.shape.elementCount)
    try begun.withBytes { raw in sum.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
    for update in change.updates {
      var start = 0
      for matrix in 0..<(update.update.stackHeight ?? 1) {
        let delta = try product(update, matrix: matrix).elements()
        for i in 0..<delta.count { sum[start + i] += Scalar(delta[i]) }
        start += delta.count
      }
      if let magnitude = update.update.magnitude {
        let norms = try floats(magnitude)
        sum.withUnsafeMutableBufferPointer { Self.scale($0, to: norms, isTransposed: update.isTransposed) }
      }
    }
    for (info, scale) in change.summands {
      let summand = try floats(info)
      for i in 0..<sum.count { sum[i] += Scalar(summand[i] * scale) }
    }
    sum.withUnsafeBufferPointer { format.round($0, into: destination) }
  }

  private func replace(
    _ rows: LoRAAdapter.Rows, of info: TensorInfo, _ format: FloatFormat,
    in destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let width = info.shape.dimensions[1] * info.dtype.bitWidth / 8
    let count = rows.indexes.count * width
    try adapter.source.bytes(of: rows.info).withBytes { raw throws(StorageError) in
      let converted = TensorBytes(count: count) { rows.info.dtype.floatFormat!.convert(raw, to: format, into: $0) }
      try converted.withBytes { bytes in
        for (number, row) in rows.indexes.enumerated() {
          UnsafeMutableRawBufferPointer(rebasing: destination[row * width..<(row + 1) * width])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[number * width..<(number + 1) * width]))
        }
      }
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
