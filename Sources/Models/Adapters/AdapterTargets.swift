import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// Which tensors of a base an adapter means, and what becomes of each.
///
/// Names are the same, but for a prefix that one of both may have: a head's model calls `h.0.attn` of the bare one
/// `transformer.h.0.attn`. One prefix, put in front of all names or taken away from all, must do for every update.
///
/// An output layer that is tied to the input embedding is one tensor with it, as in peft's model: what an adapter does
/// to either, it does to both, and `merge_and_unload` adds both updates where there are two. Only `modules_to_save` makes
/// a copy, which unties them, unless `ensure_weight_tying` gives both modules the same.
package struct AdapterTargets: Sendable {
  package enum Prefix: Sendable, Hashable {
    case same
    /// The base's names have it, the adapter's not.
    case added(String)
    /// The adapter's names have it, the base's not.
    case removed(String)
  }

  package let prefix: Prefix
  /// By name: the tensors that are not as the base has them.
  package private(set) var tensors: [ExactString: AdaptedTensor] = [:]
  /// What was tied in the base and is not any more.
  package private(set) var untied: TiedEmbeddings?
  /// What stays tied and is changed as one, though the adapter has an update for a module of it.
  package private(set) var updatedTie: TiedEmbeddings?

  private let adapter: LoRAAdapter
  private let base: AdapterBase
  private var ties: TiedEmbeddings?
  private let underscored: UnderscoredNames?

  /// - Throws: `shapeMismatch` for an update of a tensor that the base lacks, or has in another shape;
  ///   `unsupportedFeature` when it cannot be told whether a square weight is transposed.
  package init(of adapter: LoRAAdapter, in base: AdapterBase) throws(StorageError) {
    self.adapter = adapter
    self.base = base
    underscored =
      UnderscoredNames.areUsed(by: adapter.names) ? UnderscoredNames(of: base.source) : nil
    let wanted = adapter.names
    prefix = Self.prefix(wanted.isEmpty ? adapter.wholeTensors.map(\.name) : wanted, in: base.source)
    ties = try TiedEmbeddings(of: base)
    try addWholeTensors()
    try addUpdates()
    try addDifferences()
    try addRows()
    try keepTies()
  }

  // MARK: The parts of an adapter

  private mutating func addWholeTensors() throws(StorageError) {
    let names = adapter.wholeTensors.map { (whole: $0, name: find($0.name)?.name ?? tiedName($0.name) ?? $0.name) }
    if let ties, !adapter.configuration.keepsTies,
      names.contains(where: { $0.whole.isCopy && ($0.name == ties.embedding || $0.name == ties.head) })
    {
      try checkCanBeUntied(ties, names)
      untied = ties
      self.ties = nil
    }
    var seen: Set<ExactString> = []
    for (whole, name) in names {
      guard seen.insert(ExactString(name)).inserted else {
        throw StorageError(.malformed, "is meant twice", file: adapter.source.label, tensor: name)
      }
      let key = canonical(name)
      let own = base.source.tensor(named: key)
      // As when peft loads it: in the dtype of the model.
      let isConverted = own?.dtype.floatFormat != nil && whole.info.dtype.floatFormat != nil
      let info = try TensorInfo(
        name: key, dtype: isConverted ? own!.dtype : whole.info.dtype, shape: whole.info.shape)
      if let other = tensors[ExactString(key)]?.whole { try checkSame(whole, other) }
      tensors[ExactString(key)] = AdaptedTensor(info: info, origin: own, whole: whole)
    }
    try addUntiedHead()
  }

  /// Where an encoder's and a decoder's embeddings are tied to a third, transformers 5.24 leaves them behind with random numbers when the
  /// ties are cut; but for T5, of which the output layer alone may come apart.
  private func checkCanBeUntied(
    _ ties: TiedEmbeddings, _ names: [(whole: LoRAAdapter.WholeTensor, name: String)]
  ) throws(StorageError) {
    guard ties.isShared, ties.embedding != "shared.weight" || names.contains(where: { $0.name == ties.embedding })
    else { return }
    throw StorageError(
      .unsupportedFeature,
      "has a copy of \(ties.embedding) or \(ties.head), to which the embeddings of the encoder and the decoder are tied: save the merged model of PEFT instead",
      file: adapter.source.label)
  }

  /// Two tensors for one that is tied must be equal.
  private func checkSame(
    _ a: LoRAAdapter.WholeTensor, _ b: LoRAAdapter.WholeTensor
  ) throws(StorageError) {
    let source = adapter.source
    guard a.info.matches(b.info), try source.bytes(of: a.info).hasSameBytes(as: source.bytes(of: b.info)) else {
      throw StorageError(
        .malformed, "differs from \(b.info.name), to which the base ties it", file: adapter.source.label,
        tensor: a.info.name)
    }
  }

  /// What the base kept once is two tensors now: the one that the adapter does not have stays what it was.
  private mutating func addUntiedHead() throws(StorageError) {
    guard let untied, let embedding = base.source.tensor(named: untied.embedding) else { return }
    if base.source.tensor(named: untied.head) == nil, tensors[ExactString(untied.head)] == nil {
      let info = try TensorInfo(name: untied.head, dtype: embedding.dtype, shape: embedding.shape)
      tensors[ExactString(untied.head)] = AdaptedTensor(info: info, origin: embedding)
    }
    // peft leaves the output layer's bias out, and transformers begins a new one then.
    if let bias = untied.bias, tensors[ExactString(bias.head)] == nil,
      let own = tensors[ExactString(bias.own)]?.info ?? base.source.tensor(named: bias.own)
    {
      var tensor = tensors[ExactString(bias.own)] ?? AdaptedTensor(of: own)
      tensor.info = try TensorInfo(name: bias.head, dtype: own.dtype, shape: own.shape)
      tensors[ExactString(bias.head)] = tensor
    }
    func rows(_ name: String) -> Int? {
      (tensors[ExactString(name)]?.info ?? base.source.tensor(named: name))?.shape.dimensions.first
    }
    guard rows(untied.head) == rows(untied.embedding) else {
      throw StorageError(
        .shapeMismatch,
        "unties \(untied.embedding) and \(untied.head), one with more rows, and does not have the other",
        file: adapter.source.label)
    }
  }

  private mutating func addUpdates() throws(StorageError) {
    var targets: [(name: String, update: LoRAAdapter.Update, isTransposed: Bool?)] = []
    var ofParameters: [String: [LoRAAdapter.Update]] = [:]
    for update in adapter.updates {
      try located(file: adapter.source.label, tensor: update.a.name) { () throws(StorageError) in
        if !parameters(of: update.module).isEmpty {
          ofParameters[update.module, default: []].append(update)
          return
        }
        let update = try update.ofModule(adapter.configuration)
        let info = try target(update.module + AdaptableModules.weightSuffix)
        targets.append((info.name, update, try Self.isTransposed(update, on: info)))
      }
    }
    for (module, updates) in ofParameters.sorted(by: { $0.key.precedesInBytes($1.key) }) {
      try located(file: adapter.source.label, tensor: updates[0].a.name) { () throws(StorageError) in
        targets += try parameterTargets(of: module, updates)
      }
    }
    let told = targets.filter { !$0.update.isEmbedding && $0.update.stackHeight == nil }
      .compactMap { target in target.isTransposed.map { (target.update.module, $0) } }
    let toldOfStacks = Set(targets.filter { $0.update.stackHeight != nil }.compactMap(\.isTransposed))
    let orientations = WeightOrientations(
      in: base, updates: told, stacks: toldOfStacks, assumed: adapter.configuration.isTransposed)
    for (name, update, isTransposed) in targets {
      let guess =
        update.stackHeight == nil ? orientations.isTransposed(update.module) : orientations.areStacksTransposed
      guard let isTransposed = isTransposed ?? guess else {
        throw StorageError(
          .unsupportedFeature,
          "is of a square weight, and neither the architecture nor \"fan_in_fan_out\" nor other shapes tell whether it is transposed",
          file: adapter.source.label, tensor: update.a.name)
      }
      let key = ExactString(name)
      let others = tensors[key]?.updates ?? []
      guard others.isEmpty || ties.map({ name == $0.embedding }) ?? false else {
        throw StorageError(.malformed, "is meant twice", file: adapter.source.label, tensor: name)
      }
      guard others.isEmpty || update.magnitude == nil && others.allSatisfy({ $0.update.magnitude == nil }) else {
        throw StorageError(
          .unsupportedFeature, "is of DoRA on a weight that is tied and has two updates", file: adapter.source.label,
          tensor: update.a.name)
      }
      if let ties, name == ties.embedding { updatedTie = ties }
      var tensor = tensors[key] ?? AdaptedTensor(of: base.source.tensor(named: name)!)
      tensor.updates.append(AdaptedTensor.Update(update: update, isTransposed: isTransposed))
      tensors[key] = tensor
      if let bias = update.bias { try add(bias, of: update, toBiasOf: name) }
    }
  }

  /// Those of a module's parameters that are adapted, as the base has them.
  private func parameters(of module: String) -> [(name: String, info: TensorInfo)] {
    adapter.configuration.parameters(of: module).compactMap { name in
      (try? target("\(module).\(name)")).map { (name, $0) }
    }
  }

  /// peft wraps a module once for each parameter, in the order in which the module has them, which no file tells: shapes
  /// and ranks do, or else it is that of the experts' modules of transformers.
  private func parameterTargets(
    of module: String, _ updates: [LoRAAdapter.Update]
  ) throws(StorageError) -> [(name: String, update: LoRAAdapter.Update, isTransposed: Bool?)] {
    let parameters = parameters(of: module)
    // The innermost wrapper is the first parameter's.
    let inward = updates.sorted { $0.depth > $1.depth }
    guard parameters.count == updates.count, Set(updates.map(\.depth)).count == updates.count, parameters.count <= 2
    else {
      throw StorageError(
        .unsupportedFeature,
        "\(updates.count) updates of \(module), and parameters \(parameters.map(\.name).joined(separator: ", ")) to adapt"
      )
    }
    let orders = parameters.count == 1 ? [parameters] : [parameters.reversed(), parameters]
    let fitting = orders.compactMap { order -> [(String, LoRAAdapter.Update, Bool?)]? in
      var targets: [(String, LoRAAdapter.Update, Bool?)] = []
      for (parameter, update) in zip(order, inward) {
        guard parameter.info.dtype.floatFormat != nil,
          let update = update.ofParameter(parameter.name, parameter.info.shape, adapter.configuration)
        else { return nil }
        let matrix = parameter.info.shape.dimensions.suffix(2)
        let fits = matrix == [update.outputs, update.inputs]
        let isOpen = fits && matrix == [update.inputs, update.outputs] && update.stackHeight != nil
        targets.append((parameter.info.name, update, isOpen ? nil : !fits))
      }
      return targets
    }
    guard let first = fitting.first else {
      throw StorageError(
        .shapeMismatch,
        "does not fit \(parameters.map { "\($0.info.name) \($0.info.shape)" }.joined(separator: ", ")) with the ranks that \(AdapterConfiguration.fileName) says"
      )
    }
    // Sorted by name, and turned round: gate_up_proj before down_proj.
    guard fitting.count == 1 || parameters.map(\.name) == ["down_proj", "gate_up_proj"] else {
      throw StorageError(.unsupportedFeature, "fits several parameters of \(module)")
    }
    return first
  }

  private mutating func add(
    _ bias: TensorInfo, of update: LoRAAdapter.Update, toBiasOf weight: String
  ) throws(StorageError) {
    let name = String(weight.dropLast(AdaptableModules.weightSuffix.count)) + ".bias"
    guard let own = tensors[ExactString(name)]?.info ?? base.source.tensor(named: name),
      own.shape.dimensions == bias.shape.dimensions, own.dtype.floatFormat != nil
    else {
      throw StorageError(
        .shapeMismatch, "is added to \(name), which \(base.source.label) has not in that shape",
        file: adapter.source.label, tensor: bias.name)
    }
    tensors[ExactString(name), default: AdaptedTensor(of: own)].summands.append((bias, update.scale))
  }

  private mutating func addDifferences() throws(StorageError) {
    for difference in adapter.differences {
      try located(file: adapter.source.label, tensor: difference.info.name) { () throws(StorageError) in
        let info = try target(difference.name)
        guard info.shape == difference.info.shape, info.dtype.floatFormat != nil else {
          throw StorageError(
            .shapeMismatch, "is \(difference.info.shape), and is to be added to \(info.name) \(info.shape)")
        }
        tensors[ExactString(info.name), default: AdaptedTensor(of: info)].summands.append((difference.info, 1))
      }
    }
  }

  private mutating func addRows() throws(StorageError) {
    // The embedding's come before those of an output layer that is tied to it.
    for rows in adapter.rows.sorted(by: { own($0) && !own($1) }) {
      try located(file: adapter.source.label, tensor: rows.info.name) { () throws(StorageError) in
        let info = try target(rows.module + AdaptableModules.weightSuffix)
        let dimensions = info.shape.dimensions
        guard dimensions.count == 2, dimensions[1] == rows.info.shape.dimensions[1], info.dtype.floatFormat != nil
        else {
          throw StorageError(.shapeMismatch, "its rows do not fit \(info.name) \(info.shape)")
        }
        if let row = rows.indexes.first(where: { $0 >= dimensions[0] }) {
          throw StorageError(.shapeMismatch, "replaces row \(row) of \(info.name) \(info.shape)")
        }
        tensors[ExactString(info.name), default: AdaptedTensor(of: info)].rows.append(rows)
      }
    }
  }

  private func own(_ rows: LoRAAdapter.Rows) -> Bool {
    find(rows.module + AdaptableModules.weightSuffix)?.name == ties?.embedding
  }

  /// Where the base's file has both tensors of a tie, both change.
  private mutating func keepTies() throws(StorageError) {
    guard let ties, base.source.tensor(named: ties.head) != nil,
      var tensor = tensors[ExactString(ties.embedding)]
    else { return }
    tensor.info = try TensorInfo(name: ties.head, dtype: tensor.info.dtype, shape: tensor.info.shape)
    tensors[ExactString(ties.head)] = tensor
  }

  /// A tensor as it is before updates: the base's, or what the adapter has in its place.
  private func target(_ wanted: String) throws(StorageError) -> TensorInfo {
    let name = find(wanted)?.name ?? tiedName(wanted) ?? wanted
    guard let info = tensors[ExactString(canonical(name))]?.info ?? base.source.tensor(named: canonical(name)) else {
      throw StorageError(.shapeMismatch, "changes \(wanted), which is not in \(base.source.label)")
    }
    return info
  }

  // MARK: Names

  /// The tensor in whose place a tied one is kept.
  private func canonical(_ name: String) -> String {
    guard let ties else { return name }
    if name == ties.head { return ties.embedding }
    if let bias = ties.bias, name == bias.head { return bias.own }
    return name
  }

  /// The name of an output layer that the base's file lacks, being tied.
  private func tiedName(_ name: String) -> String? {
    guard let ties = ties ?? untied else { return nil }
    return [ties.head, ties.bias?.head].compactMap { $0 }.first { own in
      if case .removed(let prefix) = prefix, name == prefix + own { return true }
      return name == own
    }
  }

  private func find(_ name: String) -> TensorInfo? {
    Self.find(name, prefix, in: base.source) ?? underscored?.tensor(named: name)
  }

  /// A model has its layers behind one prefix, or a few.
  private static let mostPrefixes = 64

  /// How the names differ, judged by all of them.
  private static func prefix(_ names: [String], in base: any TensorSource) -> Prefix {
    guard let stray = names.first(where: { find($0, .same, in: base) == nil }) else { return .same }
    // What would make the one name fit; the one that makes the most names fit is meant.
    let shorter = stray.indices.filter { stray[$0] == "." }.map { Prefix.removed(String(stray[...$0])) }
    let longer = base.tensors.lazy.map(\.name).filter { $0.hasSuffix("." + stray) }.map {
      Prefix.added(String($0.dropLast(stray.count)))
    }
    func count(_ prefix: Prefix) -> Int { names.count { find($0, prefix, in: base) != nil } }
    let best = (shorter + longer.prefix(mostPrefixes)).map { (prefix: $0, count: count($0)) }
      .max { $0.count < $1.count }
    guard let best, best.count > count(.same) else { return .same }
    return best.prefix
  }

  private static func find(_ name: String, _ prefix: Prefix, in base: any TensorSource) -> TensorInfo? {
    switch prefix {
    case .same: base.tensor(named: name) ?? inComponent(name, of: base)
    case .added(let prefix): base.tensor(named: prefix + name) ?? base.tensor(named: name)
    case .removed(let prefix):
      (name.hasPrefix(prefix) ? base.tensor(named: String(name.dropFirst(prefix.count))) : nil)
        ?? base.tensor(named: name)
    }
  }

  /// A tensor of a pipeline: an adapter has a dot behind the component's name.
  private static func inComponent(_ name: String, of base: any TensorSource) -> TensorInfo? {
    guard let dot = name.firstIndex(of: ".") else { return nil }
    return base.tensor(named: "\(name[..<dot])/\(name[name.index(after: dot)...])")
  }

  /// Whether `info` is transposed; nil where both would fit.
  private static func isTransposed(_ update: LoRAAdapter.Update, on info: TensorInfo) throws(StorageError) -> Bool? {
    guard info.dtype.floatFormat != nil else {
      throw StorageError(.unsupportedFeature, "changes \(info.name) of dtype \(info.dtype.rawValue)")
    }
    let dimensions = info.shape.dimensions
    let sides = update.a.shape.dimensions.dropFirst()
    // LoHa has what a convolution multiplies in one row.
    let isFlat =
      dimensions.count > 2 && sides.count == 1 && dimensions.first == update.outputs
      && info.shape.elementCount == update.outputs * update.inputs
    let fits = dimensions == [update.outputs] + sides || isFlat
    let fitsTransposed = dimensions == [update.inputs, update.outputs] && update.a.shape.dimensions.count == 2
    switch (fits && !update.isEmbedding, fitsTransposed) {
    case (true, true): return nil
    case (true, false): return false
    case (false, true): return true
    case (false, false):
      throw StorageError(
        .shapeMismatch,
        "B · A is [\(update.outputs), \(update.inputs)]\(update.isEmbedding ? ", transposed," : "") and does not fit \(info.name) \(info.shape)"
      )
    }
  }
}

extension AdaptedTensor {
  /// The base's as it is, so far.
  fileprivate init(of info: TensorInfo) {
    self.init(info: info, origin: info)
  }
}

extension LoRAAdapter {
  /// What the adapter's names say that the base's tensors are called in memory: of weights, rows, and parameters.
  package var names: [String] {
    var names: [String] = []
    for update in updates {
      let parameters = configuration.parameters(of: update.module)
      let isOfWeight = parameters.isEmpty || (update.depth == 0 && update.rank == configuration.rank(of: update.module))
      names +=
        isOfWeight
        ? [update.module + AdaptableModules.weightSuffix] : parameters.map { "\(update.module).\($0)" }
    }
    return names + rows.map { $0.module + AdaptableModules.weightSuffix } + differences.map(\.name)
  }
}
