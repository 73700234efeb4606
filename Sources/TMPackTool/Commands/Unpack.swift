import ArgumentParser
import TMPack

struct Unpack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Rebuild an expert, a weighted mix of experts, or the shared model.",
    discussion: """
      Examples:
        tmpack unpack zoo.tmpack --expert math -o math/
        tmpack unpack zoo.tmpack --expert math --exact -o math/
        tmpack unpack zoo.tmpack --weights math=0.7,code=0.3 -o mix.safetensors
        tmpack unpack zoo.tmpack --shared -o shared/

      The output is one file if its name ends as weights do (.safetensors, .bin, .pt, .npz, …), otherwise a folder.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The file or folder to make.", valueName: "path"))
  var output: OutputPath

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Selection") var selection: SelectionOptions

  @Flag(help: "Rebuild the expert to the bit, from an archive that was packed with --exact or --lossless.")
  var exact = false

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
    if exact, dtype != nil { throw ValidationError("--exact and --dtype exclude each other.") }
  }

  func run() throws {
    let opened = try selection.detached.open(archive, work.io)
    let reconstructor = try Reconstructor(opened, keepsDecoded: false)
    let mix =
      if exact, let expert = selection.expert {
        try reconstructor.exact(expert)
      } else {
        try reconstructor.mix(try selection.routerWeights(), dtype: dtype)
      }
    let globs = try tensors.map { try Glob($0) }
    var source: any TensorSource = TensorSelection(of: mix, including: globs)
    if !globs.isEmpty, source.tensors.isEmpty {
      throw StorageError(.invalidArgument, "no tensor's name matches \(tensors.joined(separator: ", "))", file: archive)
    }
    let destination = try CheckpointDestination(output.path, replacing: force, maxShardBytes: maxShardSize.bytes)
    source = try destination.format.described(source, by: mix.files.map(\.content))
    let files = destination.layout == .folder ? mix.files.map(\.content) : []
    try reporting.withProgress { show in
      try destination.write(source, carriedFiles: files, threads: work.pipeline.threads) {
        show(Progress(stage: "unpacking", done: $0, total: $1))
      }
    }
    let bytes = source.tensors.reduce(0) { $0 + UInt64($1.byteCount) }
    let notes = destination.notes(on: source)
    if reporting.json {
      Console.result([
        "output": .string(output.path), "tensors": JSONValue(source.tensors.count), "bytes": JSONValue(bytes),
        "files": .array(files.map { .string($0.name.text) }), "notes": .array(notes.map { .string($0) }),
      ])
    } else {
      for note in notes { Console.talk("note: \(note)") }
      let note = files.isEmpty ? "" : ", \(counted(files.count, "other file"))"
      Console.result("\(output.path): \(counted(source.tensors.count, "tensor")), \(ByteSize.text(bytes))\(note)")
    }
  }
}

/// Which experts, with which weights.
struct SelectionOptions: ParsableArguments {
  @Option(help: ArgumentHelp("One expert.", valueName: "name"))
  var expert: String?

  @Option(help: ArgumentHelp("Router weights, used as they are.", valueName: "name=weight,…"))
  var weights: String?

  @Flag(help: "The shared model.")
  var shared = false

  @OptionGroup var detached: DetachedOptions

  func validate() throws {
    guard [expert != nil, weights != nil, shared].count(where: { $0 }) == 1 else {
      throw ValidationError("Give one of --expert, --weights and --shared.")
    }
  }

  func routerWeights() throws -> RouterWeights {
    if let expert { return .expert(expert) }
    return try weights.map { try RouterWeights(parsing: $0) } ?? .shared
  }
}
