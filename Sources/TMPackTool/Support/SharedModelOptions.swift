import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading

/// A merging method and its settings.
struct MergingOptions: ParsableArguments {
  @Option(
    name: .customLong("lambda"),
    help: ArgumentHelp("λ of the method: short for --set lambda=….", valueName: "number"))
  var scale: Double?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "A setting of the method, for all experts or one: see tmpack merge --list.", valueName: "name[@expert]=value"))
  var settings: [MergeSettingOption] = []

  @Option(
    help: ArgumentHelp(
      "What was measured of an expert on data, as safetensors: for fisher and regmean, and for --quality of pack.",
      valueName: "expert=path",
      visibility: .hidden))
  var statistics: [StatisticsPath] = []

  func validate() throws {
    if let scale, !scale.isFinite { throw ValidationError("--lambda must be a finite number.") }
    if scale != nil, settings.contains(where: { $0.name == Self.lambda }) {
      throw ValidationError("--lambda and --set lambda=… say the same.")
    }
    for (index, setting) in settings.enumerated() where settings[..<index].contains(where: { $0.name == setting.name })
    {
      throw ValidationError("--set \(setting.name) is given twice.")
    }
    for (index, measured) in statistics.enumerated()
    where statistics[..<index].contains(where: { $0.expert.hasSameBytes(as: measured.expert) }) {
      throw ValidationError("--statistics of \(measured.expert) are given twice.")
    }
  }

  var isEmpty: Bool { scale == nil && settings.isEmpty && statistics.isEmpty }

  var values: [MergeSettings.Name: String] {
    var values = Dictionary(uniqueKeysWithValues: settings.map { ($0.name, $0.value) })
    if let scale { values[Self.lambda] = String(describing: scale) }
    return values
  }

  /// The experts with what was measured of them.
  ///
  /// - Throws: `unknownName` for statistics or a setting of an expert that there is not.
  func experts(_ experts: [ExpertInput], _ io: InputMode) throws(StorageError) -> [ExpertInput] {
    try checkNames(experts)
    return try experts.map { expert throws(StorageError) in
      guard let measured = statistics.first(where: { $0.expert.hasSameBytes(as: expert.name) }) else { return expert }
      return try ExpertInput(
        name: expert.name, checkpoint: expert.checkpoint, statistics: Checkpoint.open(measured.path, mode: io).source)
    }
  }

  /// Throws `unknownName` for statistics or a setting of an expert that there is not.
  ///
  /// - Parameter searched: settings of `merge --search`.
  func checkNames(_ experts: [ExpertInput], searched: [MergeSettings.Name] = []) throws(StorageError) {
    let named =
      statistics.map { ($0.expert, "--statistics") } + settings.compactMap { $0.name.expert.map { ($0, "--set") } }
      + searched.compactMap { $0.expert.map { ($0, "--search") } }
    for (name, option) in named where !experts.contains(where: { $0.name.hasSameBytes(as: name) }) {
      throw StorageError(
        .unknownName, "\(option) names no expert '\(name)'" + name.suggestion(among: experts.map(\.name)))
    }
  }

  private static let lambda = MergeSettings.Name("lambda")
}

/// `NAME=VALUE` or `NAME@EXPERT=VALUE`.
struct MergeSettingOption: ExpressibleByArgument {
  let name: MergeSettings.Name
  let value: String

  init?(argument: String) {
    guard let equals = argument.lastIndex(of: "=") else { return nil }
    name = MergeSettings.Name(parsing: String(argument[..<equals]))
    value = String(argument[argument.index(after: equals)...])
    if name.setting.isEmpty || name.expert?.isEmpty == true || value.isEmpty { return nil }
  }
}

/// `EXPERT=PATH`.
struct StatisticsPath: ExpressibleByArgument {
  let expert: String
  let path: String

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "=") else { return nil }
    expert = String(argument[..<equals])
    path = String(argument[argument.index(after: equals)...])
    if expert.isEmpty || path.isEmpty { return nil }
  }
}

/// Which shared model, and where it is kept.
struct SharedModelOptions: ParsableArguments {
  static let defaultMethod = "task-arithmetic"

  @Option(
    help: ArgumentHelp(
      "How the shared model is merged (default: \(defaultMethod)); see tmpack merge --list.", valueName: "method"),
    completion: Completing.methods)
  var shared: String?

  @OptionGroup var merging: MergingOptions

  @Option(help: ArgumentHelp("Use this checkpoint, merged elsewhere, as the shared model.", valueName: "path"))
  var sharedFrom: String?

  @Flag(help: "Keep the shared model outside of the archive, bound by digest: the base, --shared-from or --shared-out.")
  var detached = false

  @Flag(help: "Store the shared model as it is, at multiples of 64 bytes: larger, and faster to load.")
  var mappable = false

  @Option(help: ArgumentHelp("With --detached: write the merged shared model here.", valueName: "path"))
  var sharedOut: OutputPath?

  func validate() throws {
    if sharedFrom != nil, shared != nil || !merging.isEmpty || sharedOut != nil {
      throw ValidationError("--shared-from excludes --shared with its settings and --shared-out.")
    }
    do { _ = try method(for: []) } catch { throw ValidationError("\(error).") }
    if mappable, detached { throw ValidationError("--mappable and --detached exclude each other.") }
    if sharedOut != nil, !detached { throw ValidationError("--shared-out belongs to --detached; see unpack --shared.") }
  }

  var record: [String: String] {
    var record: [String: String] = [:]
    if detached { record["detached"] = "true" }
    if mappable { record["mappable"] = "true" }
    return record
  }

  /// Whether the shared model is the base because some of the models keep weights as codes, which cannot be merged.
  func isBaseForCodes(in models: [Checkpoint]) throws(StorageError) -> Bool {
    guard shared == nil, sharedFrom == nil, merging.isEmpty else { return false }
    for model in models where try model.quantization().hasCodes { return true }
    return false
  }

  private func method(for models: [Checkpoint]) throws(StorageError) -> any MergingMethod {
    let standard = try isBaseForCodes(in: models) ? SharedMethod.Name.base.rawValue : Self.defaultMethod
    return try MergingMethodKind.named(shared ?? standard).method(merging.values)
  }

  /// The model without writing it: merged, where it is to be written first.
  func plannedModel(base: Checkpoint?, experts: [ExpertInput], _ work: WorkOptions) throws -> Packer.SharedModel {
    try sharedFrom.map { .given(try Checkpoint.open($0, mode: work.io)) }
      ?? .merged(method(for: [base].compactMap { $0 } + experts.map(\.checkpoint)))
  }

  /// - Returns: also what was written and has to appear with the archive, and how many numbers of it are too large for their
  ///   dtype.
  func sharedModel(
    base: Checkpoint?, experts: [ExpertInput], force: Bool, work: WorkOptions, progress: (WorkProgress) -> Void
  ) throws -> (model: Packer.SharedModel, written: [any StagedOutput], overflows: Int) {
    guard let sharedOut else { return (try plannedModel(base: base, experts: experts, work), [], 0) }
    let method = try method(for: [])
    guard let base else { preconditionFailure("validated") }
    let source = CountedMerge(
      try SharedModelSource(MergeSources(base: base, experts: experts), method: method, pipeline: work.pipeline))
    try FileTree.check(sharedOut.path, replacesNoneOf: [base.path] + experts.flatMap(\.paths))
    let destination = try CheckpointDestination(sharedOut.path, replacing: force)
    let staged = try destination.stage(
      source, carriedFiles: destination.layout == .folder ? base.carriedFiles.map(\.content) : [], keepingName: true,
      threads: work.pipeline.threads
    ) { progress(WorkProgress(stage: "writing the shared model", done: $0, total: $1)) }
    let model = try Checkpoint.open(staged.readablePath, mode: work.io)
    return (.given(model, record: method.record), [staged.output], source.overflowCount)
  }
}
