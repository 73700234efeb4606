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
        tmpack unpack zoo.tmpack --embedding inputs.npy -o mix/ --receipt mix.json

      The output is one file if its name ends as weights do (.safetensors, .bin, .pt, .npz, …), otherwise a folder.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The file or folder to make.", valueName: "path"))
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

  @Option(help: ArgumentHelp("Only tensors whose names match. Repeat for more.", valueName: "glob"))
  var tensors: [String] = []

  @Option(help: ArgumentHelp("Largest weight file of a folder.", valueName: "size"))
  var maxShardSize = ByteSize(argument: "5GB")!

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if exact, selection.expert == nil { throw ValidationError("--exact needs --expert.") }
    if routing.isGiven, selection.embedding == nil {
      throw ValidationError("--temperature, --top, --threshold and the options of the fallback need --embedding.")
    }
    if receipt?.path == output.path { throw ValidationError("--output and --receipt are one path.") }
    if receipt != nil, naming ?? .base != .base { throw ValidationError("A --receipt is of the names of the base.") }
    if exact, dtype != nil { throw ValidationError("--exact and --dtype exclude each other.") }
  }

  func run() throws {
    let opened = try selection.detached.open(archive, work.io)
    let reconstructor = try Reconstructor(opened, memoryLimit: 0)
    let (weights, routed) = try selection.choose(opened, routing, work.io)
    let model = try model(reconstructor, weights)
    let globs = try tensors.map { try Glob($0) }
    let selected = TensorSelection(of: model.source, including: globs)
    let digested = receipt.map { _ in DigestedSource(selected) }
    var source: any TensorSource = digested ?? selected
    if !globs.isEmpty, source.tensors.isEmpty {
      throw StorageError(.invalidArgument, "no tensor's name matches \(tensors.joined(separator: ", "))", file: archive)
    }
    try FileTree.check(output.path, replacesNoneOf: [archive] + [selection.detached.sharedFrom].compactMap { $0 })
    var destination = try CheckpointDestination(output.path, replacing: force, maxShardBytes: maxShardSize.bytes)
    // Refused now, if it is to be refused, and not after the long part.
    if let receipt, destination.layout == .folder, receipt.isIn(output) {
      destination.companions = [FileTree.lastComponent(receipt.path)]
    } else if let receipt {
      try receipt.checkFile(replacing: force)
    }
    let formatted = try FormattedSource(
      source, for: destination.format, files: model.files, nil, isWhole: globs.isEmpty,
      remedy: "unpack it into a folder")
    source = formatted.source
    let changes = ConfigurationChanges(dtype: dtype?.dtype)
    let files = destination.layout == .folder ? changes.applied(to: model.files) : []
    let staged = try reporting.withProgress { show in
      try destination.stage(source, carriedFiles: files, threads: work.pipeline.threads) {
        show(WorkProgress(stage: "unpacking", done: $0, total: $1))
      }
    }
    let bytes = staged.bytes
    var outputs = [staged.output]
    if let receipt, let digested {
      let text = try MixReceipt(
        of: opened, weights, isExact: exact, dtype: dtype, patterns: tensors, routed: routed, output: digested
      ).text
      if let folder = staged.folder, receipt.isIn(output) {
        let file = try folder.makeFile(CarriedFileName(FileTree.lastComponent(receipt.path)))
        try file.write(text)
        try file.commit()
      } else {
        let file = try AtomicFile(receipt.path, replacing: force)
        try file.write(text)
        outputs.append(file)
      }
    }
    try commitTogether(outputs)
    var notes = model.source is DecodedMix ? model.source.notes : []
    notes += formatted.notes + destination.notes(on: source)
    let overflows = model.overflows()
    if overflows > 0, let dtype {
      notes.append("\(counted(overflows, "number")) too large for \(dtype.dtype.rawValue) became infinite")
    }
    if reporting.json {
      var object: JSONObject = [
        "output": .string(output.path), "tensors": JSONValue(source.tensors.count), "bytes": JSONValue(bytes),
        "overflows": JSONValue(overflows), "files": .array(files.map { .string($0.name.text) }),
        "notes": .array(notes.map { .string($0) }),
      ]
      if let routed {
        object["weights"] = weights.json
        object["entropy"] = .number(routed.entropy)
        object["fell_back"] = .bool(routed.fellBack)
      }
      object["receipt"] = receipt.map { .string($0.path) }
      Console.result(.object(object))
    } else {
      for note in notes { Console.talk("note: \(note)") }
      if let routed {
        let text = weights.summary ?? "the shared model"
        Console.talk("note: routed \(counted(routed.rows, "input")), entropy \(routed.entropy.fixed(3)): \(text)")
      }
      let note = files.isEmpty ? "" : ", \(counted(files.count, "other file"))"
      Console.result("\(output.path): \(counted(source.tensors.count, "tensor")), \(ByteSize.text(bytes))\(note)")
    }
  }

  /// What is written, under the names that are asked for.
  private func model(
    _ reconstructor: Reconstructor, _ weights: RouterWeights
  ) throws(StorageError) -> (source: any TensorSource, files: [CarriedContent], overflows: () -> Int) {
    if !exact, let decoded = try reconstructor.decodedMix(weights, dtype: dtype) {
      guard receipt == nil else {
        throw StorageError(
          .unsupportedFeature,
          "mixes weights that are kept as codes or in other dtypes, of which no receipt can be made: leave out --receipt",
          file: archive)
      }
      let source: any TensorSource = naming == .transformers5 ? try decoded.namedInMemory(by: decoded.files) : decoded
      return (source, decoded.files, { decoded.overflowCount })
    }
    let mix =
      if exact, let expert = selection.expert {
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
  @Option(name: .customLong("expert"), help: ArgumentHelp("One expert.", valueName: "name"))
  var experts: [String] = []

  @Option(
    name: .customLong("weights"), help: ArgumentHelp("Router weights, used as they are.", valueName: "name=weight,…"))
  var weightLists: [String] = []

  @Flag(help: "The shared model.")
  var shared = false

  @Option(
    help: ArgumentHelp(
      "What the archive's router gives these embeddings, all as one group: see route.", valueName: "path"))
  var embedding: String?

  @OptionGroup var detached: DetachedOptions

  func validate() throws {
    guard [!experts.isEmpty, !weightLists.isEmpty, shared, embedding != nil].count(where: { $0 }) == 1 else {
      throw ValidationError("Give one of --expert, --weights, --shared and --embedding.")
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
