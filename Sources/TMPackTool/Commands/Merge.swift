import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading
import TMPackTensorKit

struct Merge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Merge checkpoints into one.",
    discussion: """
      Examples:
        tmpack merge ties --base base/ --expert m/ --expert c/ -o merged/
        tmpack merge --recipe recipe.yaml -o merged.safetensors
        tmpack merge average --expert m/ --expert c/ -o mean/ --dtype bf16
        tmpack merge --list

      A setting is given for all experts (--set weight=0.5) or for one (--set weight@math=0.5). Recipes have \
      mergekit's field names and may set each tensor's own values; Spec/recipes.md describes them. What is merged has \
      the base's tensors, dtypes and files.

      --search lambda=0.1:1:0.1 --eval './score {checkpoint}' merges with each of the values, gives the result to the \
      command, whose output must end with a number, and keeps the one with the largest.
      """)

  @Argument(help: ArgumentHelp("A merging method: see --list.", valueName: "method"), completion: Completing.methods)
  var method: String?

  @Flag(help: "Print the methods with their settings and papers.")
  var list = false

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file or folder to make; - for standard output.", valueName: "path"))
  var output: OutputPath?

  @Option(help: ArgumentHelp("The method, the models and the settings as YAML.", valueName: "path"))
  var recipe: String?

  @Option(
    help: ArgumentHelp("The checkpoint that the experts were fine-tuned from: a file or a folder.", valueName: "path"))
  var base: String?

  @Option(
    name: .customLong("expert"),
    help: ArgumentHelp(
      "A checkpoint or PEFT adapter; without a name, that of its file. Repeat for each, or give several.",
      valueName: "name=path"))
  var experts: [NamedPath] = []

  @OptionGroup(title: "Method") var merging: MergingOptions

  @OptionGroup(title: "Search") var search: MergeSearchOptions

  @Flag(help: "Leave out what of an expert has no partner in the base, however much it is.")
  var allowUnmatched = false

  @Option(
    help: ArgumentHelp(
      "Names of the tensors: the base's, or those of transformers 5 in memory.", valueName: "base|transformers-5"))
  var naming = OutputNaming.base

  @Option(help: ArgumentHelp("Dtype of the floating-point tensors (default: the base's).", valueName: "dtype"))
  var dtype: ConversionFormat?

  @Flag(help: "Write FP8 codes and scales as the base has them; the error is said.")
  var requantize = false

  @Option(help: ArgumentHelp("Format (default: what the output's name says).", valueName: "format"))
  var to: WritableFormat?

  @Option(help: ArgumentHelp("Largest weight file of a folder.", valueName: "size"))
  var maxShardSize = ByteSize(argument: "5GB")!

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if list { return }
    if naming == .source {
      throw ValidationError("What is merged has no source of its own: --naming base or transformers-5.")
    }
    guard output != nil else { throw ValidationError("Give the -o/--output to make.") }
    if requantize {
      guard base != nil, dtype == nil, naming == .base else {
        throw ValidationError("--requantize needs the --base whose codes are meant, and excludes --dtype and --naming.")
      }
    }
    if recipe != nil {
      guard method == nil, base == nil, experts.isEmpty, merging.statistics.isEmpty else {
        throw ValidationError("--recipe excludes a method, --base, --expert and --statistics: the file says them.")
      }
    } else {
      guard let method else { throw ValidationError("Give a method (see --list) or a --recipe.") }
      guard !experts.isEmpty else { throw ValidationError("Give the checkpoints to merge with --expert.") }
      do {
        let kind = try MergingMethodKind.named(method)
        _ = try kind.method(merging.values)
        if base == nil, kind.needsBase(with: merging.values.keys) {
          throw ValidationError("The method '\(method)' needs the --base.")
        }
      } catch let error as StorageError { throw ValidationError("\(error).") }
    }
  }

  func run() throws {
    if list { return MethodList.print(reporting) }
    guard let output else { preconditionFailure("validated") }
    let inputs = try open()
    let target = try ModelOutput(output.path, format: to, replacing: force, maxShardSize: maxShardSize)
    // Said before hours of work, not after.
    if !force, FileTree.kind(of: output.path) != nil {
      throw StorageError(.outputExists, "exists; --force replaces it", file: output.path)
    }
    let found = try search.best(for: target.destination.path, reporting) { settings, path in
      let candidate = try ModelOutput(
        path, format: target.destination.format, replacing: false, maxShardSize: maxShardSize)
      try write(inputs, settings, to: candidate) { _ in }
    }
    let result = try reporting.withProgress { show in
      try write(inputs, found?.best.settings ?? [:], to: target, progress: show)
    }
    report(result, target, inputs, found)
  }

  /// What is merged, opened.
  private struct Inputs {
    let base: Checkpoint
    let sources: MergeSources
    /// All that is read.
    let checkpoints: [Checkpoint]
    let method: ([MergeSettings.Name: String]) throws(StorageError) -> any MergingMethod
    let dtype: ConversionFormat?
    let notes: [String]
    /// The base as it is on disk, whose codes are written.
    var coded: Checkpoint?
  }

  private func open() throws -> Inputs {
    if let recipe {
      let read = try MergeRecipe(path: recipe)
      let origin = try read.base.map { try Checkpoint.open($0, onBase: nil, mode: work.io).dequantized() }
      let experts = try read.models.map { model in
        try NamedPath(name: model.name, path: model.path).expertInput(
          work.io, statistics: model.statistics, decoding: true,
          base: { () throws(StorageError) in try AdapterBase(origin) })
      }
      let dtype = dtype ?? read.dtype
      let models = try read.inputs(base: origin, experts: experts, dtype: dtype)
      return try inputs(models.base, models.experts, dtype: dtype, notes: read.notes) { settings throws(StorageError) in
        try read.method(overriding: merging.values.merging(settings) { $1 })
      }
    }
    guard let method else { preconditionFailure("validated") }
    let onDisk = try base.map { try Checkpoint.open($0, mode: work.io) }
    let origin = try onDisk?.dequantized()
    let inputs = try experts.map {
      try $0.expertInput(work.io, decoding: true) { () throws(StorageError) in try AdapterBase(origin) }
    }
    let experts = try merging.experts(inputs, work.io)
    var all = try self.inputs(origin, experts, dtype: dtype) { settings throws(StorageError) in
      try MergingMethodKind.named(method).method(merging.values.merging(settings) { $1 })
    }
    if requantize { all.coded = onDisk }
    return all
  }

  private func inputs(
    _ base: Checkpoint?, _ experts: [ExpertInput], dtype: ConversionFormat?, notes: [String] = [],
    method: @escaping ([MergeSettings.Name: String]) throws(StorageError) -> any MergingMethod
  ) throws(StorageError) -> Inputs {
    try merging.checkNames(experts, searched: search.search.map(\.name))
    // A method that does not use the base's values needs one only to say which tensors there are.
    let model = base ?? experts[0].checkpoint
    let aligned = try experts.map { expert throws(StorageError) in try expert.aligned(to: model) }
    let models = [model.source] + aligned.map(\.checkpoint.source)
    let origin = try model.untied(asIn: models)
    let experts = try aligned.map { expert throws(StorageError) in
      try expert.untied(asIn: models).matchingDTypes(of: origin.source.tensors).cut(toRowsOf: origin.source)
        .padded(toRowsOf: origin.source)
    }
    let changes = try experts.filter { $0.checkpoint.path != model.path }.map { expert throws(StorageError) in
      try ModelChange(of: expert.checkpoint.source, named: expert.name, against: model.source)
    }
    if let output {
      let read = [origin.path] + experts.flatMap(\.paths) + [recipe].compactMap { $0 }
      try FileTree.check(output.path, replacesNoneOf: read)
    }
    let sources = try MergeSources(base: origin, experts: experts).widened()
    try sources.checkArchitectures(allowingUnmatched: allowUnmatched)
    let questions = changes.filter(\.isIndependent).map(\.question)
    var ofExperts = ExpertNotes()
    for expert in experts {
      for note in expert.notesOfRows + expert.checkpoint.notes { ofExperts.add(note, of: expert.name) }
    }
    return Inputs(
      base: origin, sources: sources, checkpoints: [origin] + experts.map(\.checkpoint), method: method, dtype: dtype,
      notes: questions + notes + origin.notes + sources.notes + ofExperts.texts)
  }

  @discardableResult
  private func write(
    _ inputs: Inputs, _ settings: [MergeSettings.Name: String], to target: ModelOutput,
    progress: (WorkProgress) -> Void
  ) throws(StorageError) -> Result {
    progress(WorkProgress(stage: "looking at the models", done: 0, total: 1))
    let merged = CountedMerge(
      try SharedModelSource(inputs.sources, method: inputs.method(settings), pipeline: work.pipeline))
    var source: any TensorSource = NarrowedSource(
      merged, as: inputs.base.source, keepsWide: inputs.dtype != nil)
    if let dtype = inputs.dtype { source = try ConvertedSource(source, to: dtype, overflow: .error) }
    if naming == .transformers5 { source = try source.namedInMemory(by: inputs.base.carriedFiles.map(\.content)) }
    var files = inputs.base.carriedFiles.map(\.content)
    var codes: RequantizedSource?
    if let coded = inputs.coded {
      let requantized = try RequantizedSource(source, as: coded.source, coded.quantization())
      (source, codes) = (requantized, requantized)
      files = ConfigurationChanges.describingCodes(files, as: coded.carriedFiles.map(\.content))
    }
    let formatted = try FormattedSource(
      source, for: target.destination.format, files: files, nil, remedy: "merge into a folder")
    let content = ModelOutput.Content(
      source: formatted.source, files: files, changes: ConfigurationChanges(dtype: inputs.dtype?.dtype))
    let written = try target.write(
      content, as: "merging", inputs: inputs.checkpoints, threads: work.pipeline.threads, progress)
    // Of the tensors, whatever the format adds.
    let bytes = written.source.tensors.reduce(0) { $0 + UInt64($1.byteCount) }
    let ofCodes = codes?.note
    return Result(
      written: ModelOutput.Written(source: written.source, bytes: bytes, files: written.files),
      overflows: merged.overflowCount, notes: formatted.notes + [ofCodes].compactMap { $0 })
  }

  /// A model that was merged.
  private struct Result {
    let written: ModelOutput.Written
    let overflows: Int
    let notes: [String]
  }

  private func report(
    _ result: Result, _ target: ModelOutput, _ inputs: Inputs, _ found: MergeSearch?
  ) {
    let notes =
      inputs.notes + inputs.base.skippedNotes(withFiles: target.isFolder)
      + target.destination.notes(on: result.written.source) + result.notes
      + overflowNotes(result.overflows, of: "merged model")
    var members: JSONObject = ["experts": .array(inputs.sources.experts.map { .string($0.name) })]
    members["search"] = found?.json
    if let found, !reporting.json { Console.result(found.table) }
    let remark = ", merged of " + counted(inputs.sources.experts.count, "expert")
    target.report(
      result.written, notes: notes, overflows: result.overflows, members: members, remark: remark, reporting)
  }
}
