import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading
import TMPackTensorKit

struct Unpack: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpack",
    abstract: "Rebuild an expert, a weighted mix of experts, or the shared model.",
    discussion: """
      Examples:
        tmpack unpack zoo.tmpack --expert math -o math/
        tmpack unpack zoo.tmpack --expert math --exact -o math/
        tmpack unpack zoo.tmpack --weights math=0.7,code=0.3 -o mix.safetensors
        tmpack unpack zoo.tmpack --shared -o shared/
        tmpack unpack zoo.tmpack --all -o experts/
        tmpack unpack zoo.tmpack --expert math -o - | ssh gpu 'cat >m.pt'
        tmpack unpack zoo.tmpack --embedding inputs.npy -o mix/ --receipt mix.json

      The output is one file if its name ends as weights do (.safetensors, .bin, .pt, .npz, …), otherwise a folder. \
      With --all it is a folder in which each expert has its own.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file or folder to make; - for standard output.", valueName: "path"))
  var output: OutputPath

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Selection") var selection: SelectionOptions

  @OptionGroup(title: "Routing, with --embedding") var routing: RoutingArguments

  @Option(
    help: ArgumentHelp(
      "Also write a receipt, which verify --receipt checks: what was mixed, and the digests of what came out.",
      valueName: "path"))
  var receipt: OutputPath?

  @Flag(help: "Rebuild the expert to the bit, from an archive that was packed with --exact or --lossless.")
  var exact = false

  @Option(
    help: ArgumentHelp(
      "Names of the tensors: of an expert's own checkpoint (source), the base's, or those of transformers 5 in memory (default: source for one expert).",
      valueName: "source|base|transformers-5"))
  var naming: OutputNaming?

  @Option(
    help: ArgumentHelp(
      "Dtype of the floating-point tensors (default: their own).", valueName: "dtype"))
  var dtype: FloatFormat?

  @Flag(help: "Write a mix of models in FP8 with codes and scales as the base has them; the error is said.")
  var requantize = false

  @Option(help: ArgumentHelp("Only tensors whose names match. Repeat for more.", valueName: "glob"))
  var tensors: [String] = []

  @Option(help: ArgumentHelp("Largest weight file of a folder.", valueName: "size"))
  var maxShardSize = ByteSize(argument: "5GB")!

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if exact, selection.expert == nil, !selection.all { throw ValidationError("--exact needs --expert or --all.") }
    if routing.isGiven, selection.embedding == nil {
      throw ValidationError("--temperature, --top, --threshold and the options of the fallback need --embedding.")
    }
    if receipt?.path == output.path { throw ValidationError("--output and --receipt are one path.") }
    if receipt != nil, naming ?? .base != .base { throw ValidationError("A --receipt is of the names of the base.") }
    if receipt != nil, selection.all { throw ValidationError("A --receipt is of one model, not of --all.") }
    if receipt != nil, output.path == StandardOutput.name {
      throw ValidationError("A --receipt is of a file or a folder, not of standard output.")
    }
    if requantize, exact || dtype != nil || receipt != nil || !tensors.isEmpty || naming ?? .base != .base {
      throw ValidationError("--requantize excludes --exact, --dtype, --receipt, --tensors and --naming.")
    }
    if exact, dtype != nil { throw ValidationError("--exact and --dtype exclude each other.") }
  }

  func run() throws {
    let opened = try selection.detached.model.open(archive, work.io)
    try FileTree.check(output.path, replacesNoneOf: [archive] + [selection.detached.sharedFrom].compactMap { $0 })
    let reconstructor = try Reconstructor(opened, memoryLimit: 0)
    if selection.all { return try unpackAll(opened, reconstructor) }
    let (weights, routed) = try selection.choose(opened, routing, work.io)
    let result = try reporting.withProgress {
      try unpack(opened, reconstructor, weights, expert: selection.expert, routed, to: output.path, $0)
    }
    var members: JSONObject = [:]
    if let routed {
      members["weights"] = weights.json
      members["entropy"] = .number(routed.entropy)
      members["fell_back"] = .bool(routed.fellBack)
      let text = weights.summary ?? "the shared model"
      if !reporting.json {
        Console.talk("note: routed \(counted(routed.rows, "input")), entropy \(routed.entropy.fixed(3)): \(text)")
      }
    }
    members["receipt"] = receipt.map { .string($0.path) }
    result.report(members, reporting)
  }

  /// Each expert into a folder of its name.
  private func unpackAll(_ opened: Archive, _ reconstructor: Reconstructor) throws {
    guard output.path != StandardOutput.name, try !ModelOutput.isFile(output.path) else {
      throw StorageError(
        .invalidArgument, "is to be a folder: with --all each expert has its own in it", file: output.path)
    }
    let paths = opened.experts.map { FileTree.join(output.path, $0.name) }
    // Said before the first of them is there.
    for path in paths where !force && FileTree.kind(of: path) != nil {
      throw StorageError(.outputExists, "exists; --force replaces it", file: path)
    }
    let results = try reporting.withProgress { show in
      try zip(opened.experts, paths).map { expert, path in
        try unpack(opened, reconstructor, .expert(expert.name), expert: expert.name, nil, to: path) {
          show(WorkProgress(stage: "unpacking \(expert.name)", done: $0.done, total: $0.total))
        }
      }
    }
    if reporting.json {
      return Console.result([
        "output": .string(output.path),
        "experts": .array(
          zip(opened.experts, results).map { expert, result in
            var object = result.json
            object["name"] = .string(expert.name)
            return .object(object)
          }),
      ])
    }
    for result in results { result.report([:], reporting) }
  }

  /// A model that was unpacked.
  private struct Result {
    let output: ModelOutput
    let written: ModelOutput.Written
    let notes: [String]
    let overflows: Int

    func report(_ members: JSONObject, _ reporting: OutputOptions) {
      output.report(written, notes: notes, overflows: overflows, members: members, reporting)
    }

    var json: JSONObject { output.json(written, notes: notes, overflows: overflows) }
  }

  private func unpack(
    _ opened: Archive, _ reconstructor: Reconstructor, _ weights: RouterWeights, expert: String?,
    _ routed: MixReceipt.Routed?, to path: String, _ show: (WorkProgress) -> Void
  ) throws -> Result {
    let model = try model(reconstructor, weights, expert)
    let globs = try tensors.map { try Glob($0) }
    let selected = TensorSelection(of: model.source, including: globs)
    let digested = receipt.map { _ in DigestedSource(selected) }
    let source: any TensorSource = digested ?? selected
    if !globs.isEmpty, source.tensors.isEmpty {
      throw StorageError(.invalidArgument, "no tensor's name matches \(tensors.joined(separator: ", "))", file: archive)
    }
    var output = try ModelOutput(path, replacing: force, maxShardSize: maxShardSize)
    // Refused now, if it is to be refused, and not after the long part.
    if let receipt, output.isFolder, receipt.isIn(self.output) {
      output.destination.companions = [FileTree.lastComponent(receipt.path)]
    } else if let receipt {
      try receipt.checkFile(replacing: force)
    }
    let formatted = try FormattedSource(
      source, for: output.destination.format, files: model.files, nil, isWhole: globs.isEmpty,
      remedy: "unpack it into a folder")
    let content = ModelOutput.Content(
      source: formatted.source, files: model.files, changes: ConfigurationChanges(dtype: dtype?.dtype))
    let (staged, written) = try output.stage(content, as: "unpacking", threads: work.pipeline.threads, show)
    var others: [any StagedOutput] = []
    if let receipt, let digested {
      let text = try MixReceipt(
        of: opened, weights, isExact: exact, dtype: dtype, patterns: tensors, routed: routed, output: digested
      ).text
      if let folder = staged.folder, receipt.isIn(self.output) {
        let file = try folder.makeFile(CarriedFileName(FileTree.lastComponent(receipt.path)))
        try file.write(text)
        try file.commit()
      } else {
        let file = try AtomicFile(receipt.path, replacing: force)
        try file.write(text)
        others.append(file)
      }
    }
    try output.finish(staged, with: others)
    var notes = model.source is DecodedMix ? model.source.notes : []
    notes += [(model.source as? RequantizedSource)?.note].compactMap { $0 }
    notes += formatted.notes + output.destination.notes(on: written.source)
    let overflows = model.overflows()
    if overflows > 0, let dtype {
      notes.append("\(counted(overflows, "number")) too large for \(dtype.dtype.rawValue) became infinite")
    }
    return Result(output: output, written: written, notes: notes, overflows: overflows)
  }

  /// What is written, under the names that are asked for.
  private func model(
    _ reconstructor: Reconstructor, _ weights: RouterWeights, _ expert: String?
  ) throws(StorageError) -> (source: any TensorSource, files: [CarriedContent], overflows: () -> Int) {
    if !exact, let decoded = try reconstructor.decodedMix(weights, dtype: dtype) {
      guard receipt == nil else {
        throw StorageError(
          .unsupportedFeature,
          "mixes weights that are kept as codes or in other dtypes, of which no receipt can be made: leave out --receipt",
          file: archive)
      }
      if requantize {
        let shared = try reconstructor.mix(.shared)
        let files = shared.files.map(\.content)
        let source = try RequantizedSource(decoded, as: shared, Quantization(of: shared, files: files))
        return (source, ConfigurationChanges.describingCodes(decoded.files, as: files), { decoded.overflowCount })
      }
      let source: any TensorSource = naming == .transformers5 ? try decoded.namedInMemory(by: decoded.files) : decoded
      return (source, decoded.files, { decoded.overflowCount })
    }
    guard !requantize else {
      throw StorageError(
        .invalidArgument, "is no mix of weights that are kept as codes: leave out --requantize", file: archive)
    }
    let mix =
      if exact, let expert {
        try reconstructor.exact(expert)
      } else {
        try reconstructor.mix(weights, dtype: dtype)
      }
    let named = try mix.named(naming ?? (receipt == nil ? .source : .base))
    return (named, mix.files.map(\.content), { mix.overflowCount })
  }
}

/// Which experts, with which weights.
struct SelectionOptions: ParsableArguments {
  @Option(
    name: .customLong("expert"), help: ArgumentHelp("One expert.", valueName: "name"), completion: Completing.experts)
  var experts: [String] = []

  @Option(
    name: .customLong("weights"), help: ArgumentHelp("Router weights, used as they are.", valueName: "name=weight,…"))
  var weightLists: [String] = []

  @Flag(help: "The shared model.")
  var shared = false

  @Flag(help: "Every expert.")
  var all = false

  @Option(
    help: ArgumentHelp(
      "What the archive's router gives these embeddings, all as one group: see route.", valueName: "path"))
  var embedding: String?

  @OptionGroup var detached: DetachedOptions

  func validate() throws {
    guard [!experts.isEmpty, !weightLists.isEmpty, shared, all, embedding != nil].count(where: { $0 }) == 1 else {
      throw ValidationError("Give one of --expert, --weights, --shared, --all and --embedding.")
    }
    guard experts.count <= 1, weightLists.count <= 1 else {
      throw ValidationError("Give one expert, or the weights of several as one list: --weights math=0.7,code=0.3.")
    }
  }

  var expert: String? { experts.first }

  /// The weights, and how they came about where a router gave them.
  func choose(
    _ archive: Archive, _ arguments: RoutingArguments, _ io: InputMode
  ) throws(StorageError) -> (weights: RouterWeights, routed: MixReceipt.Routed?) {
    if let expert { return (.expert(expert), nil) }
    if let weights = weightLists.first { return (try RouterWeights(parsing: weights), nil) }
    guard let embedding else { return (.shared, nil) }
    let router = try Router(archive)
    let inputs = try Embeddings(contentsOf: embedding, mode: io)
    let options = try arguments.options()
    let routing = try router.route(inputs, pooling: .all, options)[0]
    return (routing.weights, MixReceipt.Routed(router, inputs, options, routing))
  }
}
