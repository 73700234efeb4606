import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackLlamaCpp
import TMPackModels
import TMPackReading
import TMPackTensorKit

extension WritableFormat: ExpressibleByArgument {}
extension ConversionFormat: ExpressibleByArgument {
  public static var allValueStrings: [String] { allCases.map { $0.dtype.rawValue.lowercased() } }

  public init?(argument: String) {
    guard let format = DType(argument: argument)?.conversionFormat else { return nil }
    self = format
  }
}
extension Overflow: ExpressibleByArgument {
  /// Infinity is for programs that look for it; on the command line nobody asks for it.
  public static var allValueStrings: [String] { [Overflow.saturate, .error].map(\.rawValue) }
}

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert a checkpoint between formats, dtypes and names.",
    discussion: """
      Examples:
        tmpack convert pytorch_model.bin model.safetensors
        tmpack convert llama/ llama-bf16/ --dtype bf16 --max-shard-size 2GB
        tmpack convert checkpoint.ckpt model.npz --dtype f32 --rename 'module.*=*'
        tmpack convert llama/ llama.gguf --quantize q8_0
        tmpack convert style.safetensors style/ --adapter diffusers --base sdxl/

      The input is read by its content: safetensors, PyTorch (no code in it is run), NumPy, GGUF, or a folder of one of \
      them, also of several models as diffusers keeps a pipeline. The output is one file if its name ends as one of --to \
      does (.safetensors, .bin, .pt, .pth, .ckpt, .npz, .npy, .gguf), otherwise a folder. Tied tensors and metadata are \
      kept where the format has a place for them; what is lost is said.
      """)

  @Argument(help: ArgumentHelp("A checkpoint: a file or a folder.", valueName: "input"), completion: .file())
  var input: String

  @Argument(help: ArgumentHelp("The file or folder to make; - for standard output.", valueName: "output"))
  var output: String

  @Option(
    help: ArgumentHelp("Format (default: what the output's name says, safetensors for a folder).", valueName: "format"))
  var to: WritableFormat?

  @Option(
    help: ArgumentHelp(
      "Dtype of the floating-point tensors: f32, bf16, f16, f64, f8_e4m3 or f8_e5m2 (default: their own).",
      valueName: "dtype"))
  var dtype: ConversionFormat?

  @Option(help: ArgumentHelp("What to do with a number too large for --dtype.", valueName: "how"))
  var overflow = Overflow.error

  @Option(
    help: ArgumentHelp(
      "With GGUF: quantise the matrices of floats whose rows are whole blocks of 32; the rest stays as it is. fp8: in a folder, with scales of blocks, as vLLM and transformers load it.",
      valueName: "type"))
  var quantize: QuantizationTarget?

  @Option(
    help: ArgumentHelp(
      "With --quantize: how much each input of a matrix counts, an importance matrix of llama-imatrix or a file with TENSOR.gram.",
      valueName: "file"), completion: .file())
  var statistics: String?

  @Option(
    help: ArgumentHelp(
      "A new name for tensors; each * stands for the same text on both sides. Repeat for more: the first that fits counts.",
      valueName: "pattern=name"))
  var rename: [String] = []

  @Option(
    help: ArgumentHelp(
      "Names of the tensors: its own (source), or those of transformers 5 in memory.",
      valueName: "source|transformers-5"))
  var naming = OutputNaming.source

  @Option(
    help: ArgumentHelp(
      "With GGUF: names, numbers and tokenizer as llama.cpp runs the model, if it is one that is known (default), or the tensors' own names.",
      valueName: "llama.cpp|keep"))
  var ggufNames: GGUFNaming?

  @Option(help: ArgumentHelp("Only tensors whose names match. Repeat for more.", valueName: "glob"))
  var tensors: [String] = []

  @Option(help: ArgumentHelp("Largest weight file of a folder.", valueName: "size"))
  var maxShardSize = ByteSize(argument: "5GB")!

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Adapters") var adapters: AdapterConversionOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if ggufNames != nil, to ?? WritableFormat(suffixOf: output) != .gguf {
      throw ValidationError("--gguf-names is for GGUF files.")
    }
    if statistics != nil, quantize?.ggml == nil {
      throw ValidationError("--statistics is for --quantize with a type of GGUF.")
    }
    if quantize == .fp8, dtype != nil || !tensors.isEmpty || !rename.isEmpty {
      throw ValidationError("--quantize fp8 goes with neither --dtype nor --tensors nor --rename.")
    }
    if adapters.adapter != nil {
      if to != nil || dtype != nil || quantize != nil || ggufNames != nil || !rename.isEmpty || naming != .source {
        throw ValidationError("--adapter goes with --base, --component, --tensors and --force only.")
      }
    } else if adapters.base != nil || adapters.component != nil {
      throw ValidationError("--base and --component are for --adapter.")
    }
    if naming == .base { throw ValidationError("There is no base: --naming source or transformers-5.") }
  }

  func run() throws {
    // What is wrong with the arguments is said before anything is read.
    let globs = try tensors.map { try Glob($0) }
    let rules = try rename.map { try RenamingRule(parsing: $0) }
    if let dialect = adapters.adapter { return try convertAdapter(to: dialect, selecting: globs) }
    var target = try ModelOutput(
      output, format: to, replacing: force, maxShardSize: maxShardSize,
      quantization: quantize?.ggml.map { GGUFQuantization($0) })
    let format = target.destination.format
    if quantize == .fp8, !target.isFolder || format == .gguf {
      throw StorageError(.invalidArgument, "is to be a folder of safetensors, with FP8", file: output)
    }

    if LoRAAdapter.isAdapter(input) {
      throw StorageError(
        .invalidArgument,
        """
        is an adapter, not a whole model: `pack`, `add` and `merge` add it to its base, and \
        --adapter peft|mlx|kohya|diffusers writes it for another library
        """, file: input)
    }
    try FileTree.check(output, replacesNoneOf: [input] + [statistics].compactMap { $0 })
    var checkpoint = try Checkpoint.open(input, mode: work.io)
    var files = checkpoint.carriedFiles.map(\.content)
    let isForRuntime = try format == .gguf && ggufNames != .keep && RunnableModel.isKnown(files)
    // Codes have no dtype that could become another.
    if dtype != nil || quantize != nil || isForRuntime { checkpoint = try checkpoint.dequantized() }
    var source: any TensorSource = checkpoint.source
    if naming == .transformers5 { source = try source.namedInMemory(by: checkpoint.carriedFiles.map(\.content)) }
    if !globs.isEmpty {
      let whole = source
      source = TensorSelection(of: source, including: globs)
      guard !source.tensors.isEmpty else {
        throw StorageError(.invalidArgument, "no tensor's name matches \(tensors.joined(separator: ", "))", file: input)
      }
      try source.checkCodes(asIn: whole, isSelection: true)
    }
    if !rules.isEmpty {
      let renamed = try RenamedSource(source, by: rules)
      try renamed.checkCodes(asIn: source)
      source = renamed
    }
    let scaled = quantize == .fp8 ? try BlockScaledFloats(source, files: checkpoint.carriedFiles.map(\.content)) : nil
    if let scaled { (source, files) = (scaled.source, scaled.files) }
    let formatted = try FormattedSource(
      source, for: format, files: files, ggufNames, isWhole: globs.isEmpty,
      remedy: "--gguf-names keep makes a file that only stores the tensors")
    if let statistics {
      target.destination.quantization = GGUFQuantization(
        quantize!.ggml!,
        importance: try ImportanceMatrix(
          Checkpoint.open(statistics, mode: work.io).source, originals: formatted.originals))
    }
    let destination = target.destination
    let converted = try dtype.map {
      try ConvertedSource(formatted.source, to: $0, overflow: overflow, where: formatted.isConverted)
    }
    let content = ModelOutput.Content(
      source: converted ?? formatted.source, files: scaled?.files ?? checkpoint.carriedFiles.map(\.content),
      changes: ConfigurationChanges(dtype: dtype?.dtype))
    let written = try reporting.withProgress {
      try target.write(content, as: "converting", inputs: [checkpoint], threads: work.pipeline.threads, $0)
    }

    var notes = checkpoint.notes + checkpoint.skippedNotes(withFiles: destination.layout == .folder)
    notes += formatted.notes + destination.notes(on: written.source)
    if destination.layout == .file, !isForRuntime, !checkpoint.carriedFiles.isEmpty {
      notes.append(
        "a single file has no place for the folder's \(counted(checkpoint.carriedFiles.count, "other file"))")
    }
    let overflows = converted?.overflowCount ?? 0
    if overflows > 0, !reporting.json {
      notes.append("\(counted(overflows, "number")) too large became the largest of the sign")
    }
    let loss = quantizationLoss(scaled, destination.quantization)
    notes += loss.notes
    var members: JSONObject = ["ties": JSONValue(written.source.ties.count)]
    for (name, value) in loss.members.members { members[name] = value }
    target.report(
      written, notes: notes, overflows: overflows, members: members, remark: ", \(destination.format.rawValue)",
      reporting)
  }
}
