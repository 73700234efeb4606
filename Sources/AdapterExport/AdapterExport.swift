import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackLlamaCpp
import TMPackModels
import TMPackReading
import TMPackTensorKit

/// What an archive's expert, or a mix of them, is as a LoRA adapter of peft on the archive's shared model.
///
/// A low-rank factor of rank r is an update of rank r as it stands: B is [outputs, r] and has the scales in it, A is
/// [r, inputs], and α = r, so that nothing else is multiplied. The factors of a mix are put one after another.
///
/// ```swift
/// let archive = try Archive("zoo.tmpack")
/// let export = try AdapterExport(archive, .expert("math"))
/// print(export.leftOut.count, "tensors that no adapter can hold")
/// try export.write(to: "math-lora")
/// ```
package struct AdapterExport: Sendable {
  package struct Options: Sendable {
    /// The most components of an update: factors are truncated, and matrices stored otherwise approximated. nil: factors
    /// as they are, and nothing else.
    package var rank: Int?
    /// Whether all updates get the same rank, with zeros, instead of `rank_pattern`.
    package var isPadded = false
    package var dtype = FloatFormat.f32
    /// Whether what no update can hold goes along whole, in `modules_to_save` or as a bias, where peft has a place for it.
    package var savesModules = false
    /// In front of the tensors' names in the model that the adapter is loaded on; nil: as its `config.json` says.
    package var prefix: String?
    /// The modules that are embeddings; nil: those of the usual names.
    package var embeddings: [Glob]?
    /// For whom the adapter is.
    package var target = Target.peft
    /// What of a pipeline the model is, where the adapter says so and the tensors' names do not.
    package var component: String?
    /// Whether the matrices of a layer's experts that are tensors of their own on disk keep their names, as vLLM wants them; else they
    /// are parts of the parameters that peft knows.
    package var isPerExpert = false
    /// `base_model_name_or_path`
    package var baseModel: String?
    /// nil: as the model's `config.json` says.
    package var taskType: String?

    package init() {}
  }

  package enum Target: Sendable, Hashable {
    case peft
    /// One GGUF file (`llama-server --lora`).
    case llamaCpp
    case dialect(AdapterDialect)
  }

  /// A tensor that the adapter does not hold as it is in the mix.
  package struct LeftOut: Sendable, Hashable {
    package enum Reason: String, Sendable, CaseIterable {
      case vector = "no matrix"
      case notLowRank = "not stored as a low-rank factor"
      case notAdaptable = "no weight that LoRA adapts"
      case replaced = "of another shape or dtype than the shared one"
      case added = "absent from the shared model"
      case absent = "of the shared model, which the expert lacks"
      case tied = "tied to another, which an update of the one would not change"
      case takenForExperts = "of a name that peft takes for the experts', or of a router that it does not update"
      case fused = "in memory a part of another tensor, which no module of an adapter is"
      case homeless = "without a place in an adapter of llama.cpp"
      case tiedOutput = "the embedding and the output in one, of which llama.cpp adapts neither"
    }
    package let tensor: String
    package let reason: Reason
  }

  /// What a module's weight gets.
  package struct Update: Sendable {
    let module: String
    /// Of the shared weight.
    let info: TensorInfo
    let kind: AdaptableModules.Kind
    /// Components, before any padding.
    let rank: Int
    /// Whether the components are those of the stored factors, all or the leading ones; else of the whole matrix.
    let isFactored: Bool
  }

  package let options: Options
  /// Sorted by name.
  package let leftOut: [LeftOut]
  /// Modules whose tensors the adapter holds whole, as the model names them.
  package let savedModules: [String]
  /// The largest of an update.
  package let rank: Int
  package let prefix: String
  package let taskType: String?
  /// Whether updates have different ranks in the adapter.
  package var hasRankPattern: Bool { !isPadded && updates.contains { $0.rank != rank } }
  package var updateCount: Int { updates.count + stackedUpdates.count }
  package var wholeTensorCount: Int { wholeTensors.count }

  package let mix: Mix
  package let reconstructor: Reconstructor
  let updates: [Update]
  /// Of parameters that are stacks of matrices.
  let stackedUpdates: [StackedUpdate]
  /// Tensors held whole, with their names in the model but for the prefix.
  let wholeTensors: [(name: String, info: TensorInfo)]
  /// Rows of a whole tensor that has more or fewer than the shared one: the vocabulary that the model must be given first.
  package let resizedRows: Int?
  private let hasBiases: Bool
  /// nil for an adapter of peft.
  let places: AdapterPlaces?
  let isPadded: Bool
  /// Of the shared model, as `target_modules` is matched against them.
  private let modules: [String]

  /// Decides what becomes of each tensor. Reads manifests, and of tensors an embedding and an output layer that may be tied.
  ///
  /// - Throws: `unknownName`; `invalidArgument` for a rank below 1, or when no tensor can be held.
  package init(_ archive: Archive, _ weights: RouterWeights, options: Options = Options()) throws(StorageError) {
    if let rank = options.rank, rank < 1 {
      throw StorageError(.invalidArgument, "the rank is \(rank); it must be at least 1")
    }
    self.options = options
    reconstructor = try Reconstructor(archive, memoryLimit: 0)
    mix = try reconstructor.mix(weights)
    try mix.quantization().refuse(
      "exported as an adapter", advice: "unpack it, and serve it as it is")
    let shared = reconstructor.shared.manifest.infos
    var globs = options.embeddings
    if globs == nil {
      globs = try AdaptableModules.usualEmbeddings.map { text throws(StorageError) in try Glob(text) }
    }
    let architecture = ModelArchitecture(configuration: try mix.configuration())
    prefix =
      options.prefix ?? architecture.modulePrefix(of: shared.map { architecture.nameInMemory(of: $0.name) ?? $0.name })
    taskType = options.taskType ?? architecture.taskType
    let heads = ModelArchitecture.heads(ofTask: taskType)
    let kinds = AdaptableModules(
      in: shared, embeddings: globs!, heads: heads.union(architecture.unadaptable))
    let ties = try TiedEmbeddings(of: AdapterBase(mix))
    let files = mix.files.map(\.content)
    places = options.target == .llamaCpp ? try AdapterPlaces(files: files) : nil
    let taken = options.target == .peft && !options.isPerExpert ? architecture.takenForExperts(shared) : []
    var updates: [Update] = []
    var others: [LeftOut] = []
    for info in mix.tensors {
      let base = shared.index(ofTensor: info.name).map { shared[$0] }
      switch Self.content(of: info, base, in: mix, kinds, options, architecture, ties) {
      case .unchanged: break
      case .update(let update) where taken.contains(update.module):
        others.append(LeftOut(tensor: info.name, reason: .takenForExperts))
      case .update(let update) where places.map { $0.place(of: info.name) == nil } == true:
        others.append(LeftOut(tensor: update.info.name, reason: .homeless))
      case .update(let update) where update.kind == .embedding && places?.hasOutput(mix.tensors) == false:
        others.append(LeftOut(tensor: update.info.name, reason: .tiedOutput))
      case .update(let update): updates.append(update)
      case .leftOut(let reason): others.append(LeftOut(tensor: info.name, reason: reason))
      }
    }
    for info in shared where info.dtype.floatFormat != nil && mix.tensor(named: info.name) == nil {
      others.append(LeftOut(tensor: info.name, reason: .absent))
    }
    let stacked =
      options.target == .peft && options.rank == nil
      ? try StackedUpdates(mix, shared, architecture, isPerExpert: options.isPerExpert) : StackedUpdates()
    updates.removeAll { stacked.held.contains(ExactString($0.info.name)) }
    others.removeAll { stacked.held.contains(ExactString($0.tensor)) }
    stackedUpdates = stacked.updates
    others.sort { $0.tensor.precedesInBytes($1.tensor) }

    let saved =
      options.savesModules
      ? SavedModules(others, in: mix, updated: updates.map(\.module), heads: heads, architecture, ties)
      : SavedModules()
    leftOut = others.filter { !saved.holds($0.tensor) }
    savedModules = saved.modules.map { [prefix] in prefix + $0 }
    wholeTensors = saved.tensors
    resizedRows =
      saved.tensors.lazy.compactMap { tensor -> Int? in
        guard let index = shared.index(ofTensor: tensor.info.name) else { return nil }
        let (own, old) = (tensor.info.shape.dimensions, shared[index].shape.dimensions)
        return own.count == 2 && old.count == 2 && own[0] != old[0] && own[1] == old[1] ? own[0] : nil
      }.first
    hasBiases = saved.holdsBiases
    self.updates = updates
    rank = (updates.map(\.rank) + stacked.updates.map(\.rank)).max() ?? 0
    // diffusers 0.42 takes the α of one module of a kohya file for another's where they differ.
    isPadded =
      options.isPadded || options.target == .dialect(.kohya)
      || Self.settings(updates, rank: rank, prefix: "").areAmbiguous
    modules = shared.compactMap { architecture.nameInMemory(of: $0.name).flatMap(AdaptableModules.module) }
    guard !updates.isEmpty || !stackedUpdates.isEmpty else {
      let first = leftOut.first.map { " (\($0.tensor): \($0.reason.rawValue))" } ?? ""
      throw StorageError(
        .invalidArgument, "has no low-rank factor that an adapter could hold\(first)", file: mix.label
      ).with(.chooseRank)
    }
  }

  private enum Content {
    case unchanged
    case update(Update)
    case leftOut(LeftOut.Reason)
  }

  private static func content(
    of info: TensorInfo, _ base: TensorInfo?, in mix: Mix, _ kinds: AdaptableModules, _ options: Options,
    _ architecture: ModelArchitecture, _ ties: TiedEmbeddings?
  ) -> Content {
    guard let base else { return .leftOut(.added) }
    guard base.matches(info) else { return .leftOut(.replaced) }
    let addends = mix.addends(of: info.name)
    let changes = addends?.filter { $0.entry.factor.kind != .dropped }
    if let changes, changes.isEmpty { return .unchanged }
    if info.name == ties?.embedding || info.name == ties?.head { return .leftOut(.tied) }
    guard let (rows, columns) = info.shape.matrix else { return .leftOut(.vector) }
    let inMemory = options.target == .peft ? architecture.nameInMemory(of: info.name) : info.name
    guard let name = inMemory ?? (options.isPerExpert ? info.name : nil) else { return .leftOut(.fused) }
    guard let kind = kinds.kind(of: info), let module = AdaptableModules.module(of: name) else {
      return .leftOut(.notAdaptable)
    }
    let ranks = changes?.map(\.entry.factor.form?.productRank) ?? [nil]
    if ranks.contains(nil), options.rank == nil { return .leftOut(.notLowRank) }
    let sum = ranks.contains(nil) ? .max : ranks.reduce(0) { $0 + ($1 ?? 0) }
    let rank = options.rank.map { min($0, sum, rows, columns) } ?? sum
    return .update(Update(module: module, info: info, kind: kind, rank: rank, isFactored: !ranks.contains(nil)))
  }

  private static func settings(_ updates: [Update], rank: Int?, prefix: String) -> PEFTSettings {
    PEFTSettings(updates.map { (prefix + $0.module, $0.rank, Double($0.rank)) }, rank: rank)
  }
}

extension Mix {
  /// The model's `config.json`, if it travels with it.
  fileprivate func configuration() throws(StorageError) -> [UInt8]? {
    guard let file = files.first(where: { $0.name.text == "config.json" }) else { return nil }
    return try file.bytes()
  }
}

// MARK: The configuration

extension AdapterExport {
  /// `adapter_config.json`
  package var configuration: JSONValue {
    let settings = Self.settings(updates, rank: rank, prefix: prefix)
    var object = settings.members()
    object["base_model_name_or_path"] = options.baseModel.map { .string($0) } ?? .null
    object["bias"] = hasBiases ? "all" : "none"
    object["fan_in_fan_out"] = .bool(updates.contains { $0.kind == .transposed })
    if !savedModules.isEmpty { object["modules_to_save"] = .array(savedModules.map { .string($0) }) }
    if !updates.isEmpty { object["target_modules"] = .array(targetModules.map { .string($0) }) }
    object["task_type"] = taskTypeOfModules.map { .string($0) } ?? .null
    if !stackedUpdates.isEmpty {
      object["target_parameters"] = .array(stackedUpdates.map { .string(prefix + $0.name) })
    }
    if hasRankPattern { settings.addPatterns(to: &object) }
    return .object(object)
  }

  /// With a task that has a head, peft wants the head's tensors in the adapter, too: none is said unless they are.
  private var taskTypeOfModules: String? {
    let heads = ModelArchitecture.heads(ofTask: taskType)
    guard options.taskType == nil, !heads.isEmpty else { return taskType }
    return savedModules.contains { heads.contains(AdaptableModules.lastComponent($0)) } ? taskType : nil
  }

  /// The last components of the modules' names where every module that ends so is updated; else whole names.
  private var targetModules: [String] {
    let updated = Set(updates.map { ExactString($0.module) })
    let strays = Set(
      modules.filter { !updated.contains(ExactString($0)) }.map { ExactString(AdaptableModules.lastComponent($0)) })
    let names = updates.map { update in
      let last = AdaptableModules.lastComponent(update.module)
      // A number is no name: layers of a list have them.
      return strays.contains(ExactString(last)) || last.allSatisfy(\.isNumber) ? prefix + update.module : last
    }
    return Set(names.map(ExactString.init)).map(\.text).sorted { $0.precedesInBytes($1) }
  }
}
