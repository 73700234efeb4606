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

  @Argument(help: ArgumentHelp("A merging method: see --list.", valueName: "method"))
  var method: String?

  @Flag(help: "Print the methods with their settings and papers.")
  var list = false

  @Option(name: .shortAndLong, help: ArgumentHelp("The file or folder to make.", valueName: "path"))
  var output: OutputPath?

  @Option(help: ArgumentHelp("The method, the models and the settings as YAML.", valueName: "path"))
  var recipe: String?

  @Option(
    help: ArgumentHelp("The checkpoint that the experts were fine-tuned from: a file or a folder.", valueName: "path"))
  var base: String?

  @Option(
    name: .customLong("expert"),
    help: ArgumentHelp(
      "A checkpoint or PEFT adapter; without a name, that of its file. Repeat for each.", valueName: "name=path"))
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
    let destination = try CheckpointDestination(
      output.path, format: to, replacing: force, maxShardBytes: maxShardSize.bytes)
    // Said before hours of work, not after.
    if !force, FileTree.kind(of: output.path) != nil {
      throw StorageError(.outputExists, "exists; --force replaces it", file: output.path)
    }
    let found = try search.best(for: output.path, reporting) { settings, path in
      try write(inputs, settings, to: CheckpointDestination(path, format: destination.format)) { _ in }
    }
    let written = try reporting.withProgress { show in
      try write(inputs, found?.best.settings ?? [:], to: destination, progress: show)
    }
    report(written.source, written.overflows, destination, inputs, found, notes: written.notes)
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
    let origin = try base.map { try Checkpoint.open($0, mode: work.io).dequantized() }
    let inputs = try experts.map {
      try $0.expertInput(work.io, decoding: true) { () throws(StorageError) in try AdapterBase(origin) }
    }
    let experts = try merging.experts(inputs, work.io)
    return try self.inputs(origin, experts, dtype: dtype) { settings throws(StorageError) in
      try MergingMethodKind.named(method).method(merging.values.merging(settings) { $1 })
    }
  }

  private func inputs(
    _ base: Checkpoint?, _ experts: [ExpertInput], dtype: ConversionFormat?, notes: [String] = [],
    method: @escaping ([MergeSettings.Name: String]) throws(StorageError) -> any MergingMethod
  ) throws(StorageError) -> Inputs {
    try merging.checkNames(experts, searched: search.search.map(\.name))
    // A method that does not use the base's values needs one only to say which tensors there are.
    let model = base ?? experts[0].checkpoint
    let experts = try experts.map { expert throws(StorageError) in
      try expert.aligned(to: model).matchingDTypes(of: model.source.tensors).cut(toRowsOf: model.source)
        .padded(toRowsOf: model.source)
    }
    let changes = try experts.filter { $0.checkpoint.path != model.path }.map { expert throws(StorageError) in
      try ModelChange(of: expert.checkpoint.source, named: expert.name, against: model.source)
    }
    let origin = try model.untied(asIn: experts.map(\.checkpoint.source))
    if let output {
      let read = [origin.path] + experts.flatMap(\.paths) + [recipe].compactMap { $0 }
      try FileTree.check(output.path, replacesNoneOf: read)
    }
    let sources = try MergeSources(base: origin, experts: experts).widened()
    try sources.checkArchitectures(allowingUnmatched: allowUnmatched)
    let questions = changes.filter(\.isIndependent).map(\.question)
    let ofExperts = experts.flatMap { expert in
      (expert.notesOfRows + expert.checkpoint.notes).map { "\(expert.name): \($0)" }
    }
    return Inputs(
      base: origin, sources: sources, checkpoints: [origin] + experts.map(\.checkpoint), method: method, dtype: dtype,
      notes: questions + notes + origin.notes + sources.notes + ofExperts)
  }

  @discardableResult
  private func write(
    _ inputs: Inputs, _ settings: [MergeSettings.Name: String], to destination: CheckpointDestination,
    progress: (WorkProgress) -> Void
  ) throws(StorageError) -> (source: any TensorSource, overflows: Int, notes: [String]) {
    progress(WorkProgress(stage: "looking at the models", done: 0, total: 1))
    let merged = CountedMerge(
      try SharedModelSource(inputs.sources, method: inputs.method(settings), pipeline: work.pipeline))
    var source: any TensorSource = NarrowedSource(
      merged, as: inputs.base.source, keepsWide: inputs.dtype != nil)
    if let dtype = inputs.dtype { source = try ConvertedSource(source, to: dtype, overflow: .error) }
    if naming == .transformers5 { source = try source.namedInMemory(by: inputs.base.carriedFiles.map(\.content)) }
    let files = ConfigurationChanges(dtype: inputs.dtype?.dtype).applied(to: inputs.base.carriedFiles.map(\.content))
    let formatted = try FormattedSource(
      source, for: destination.format, files: files, nil, remedy: "merge into a folder")
    source = formatted.source
    try destination.write(
      source, carriedFiles: destination.layout == .folder ? files : [],
      inputs: inputs.checkpoints, threads: work.pipeline.threads
    ) { progress(WorkProgress(stage: "merging", done: $0, total: $1)) }
    return (source, merged.overflowCount, formatted.notes)
  }

  private func report(
    _ source: any TensorSource, _ overflows: Int, _ destination: CheckpointDestination, _ inputs: Inputs,
    _ found: MergeSearch?, notes ofFormat: [String]
  ) {
    let bytes = source.tensors.reduce(0) { $0 + UInt64($1.byteCount) }
    let notes =
      inputs.notes + inputs.base.skippedNotes(withFiles: destination.layout == .folder) + destination.notes(on: source)
      + ofFormat + overflowNotes(overflows, of: "merged model")
    if reporting.json {
      var object: JSONObject = [
        "output": .string(destination.path), "format": .string(destination.format.rawValue),
        "tensors": JSONValue(source.tensors.count), "bytes": JSONValue(bytes),
        "overflows": JSONValue(overflows), "experts": .array(inputs.sources.experts.map { .string($0.name) }),
        "notes": .array(notes.map { .string($0) }),
      ]
      object["search"] = found?.json
      return Console.result(.object(object))
    }
    for note in notes { Console.talk("note: \(note)") }
    if let found { Console.result(found.table) }
    Console.result(
      "\(destination.path): \(counted(source.tensors.count, "tensor")), \(ByteSize.text(bytes)), merged of "
        + counted(inputs.sources.experts.count, "expert"))
  }
}
