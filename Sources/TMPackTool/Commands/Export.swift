import ArgumentParser
import TMPackAdapterExport
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackReading
import TMPackTensorKit

struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Export an expert or a mix as an adapter of PEFT, llama.cpp, mlx-lm, kohya's scripts or diffusers.",
    discussion: """
      Examples:
        tmpack export --peft zoo.tmpack#math -o math-lora/ --shared-out shared/
        tmpack export --peft zoo.tmpack#math=0.7,code=0.3 -o mix/ --rank 32
        tmpack export --gguf-lora zoo.tmpack#math -o math.gguf --shared-out base.gguf
        tmpack export --mlx zoo.tmpack#math -o math-mlx/
        tmpack export --kohya styles.tmpack#ink -o ink.safetensors

      The adapter is of type LoRA, for the archive's shared model, which --shared-out \
      writes. Low-rank factors are taken as they are. What no adapter can hold is \
      named: --strict refuses then, --modules-to-save keeps it whole.
      """)

  // A group, so that the help begins with it.
  struct Paths: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "ARCHIVE#EXPERT or ARCHIVE#NAME=WEIGHT,…: what to export, for PEFT.", valueName: "archive#selection"))
    var peft: String?

    @Option(
      help: ArgumentHelp("The same for llama.cpp: one file for llama-server --lora.", valueName: "archive#selection"))
    var ggufLora: String?

    @Option(help: ArgumentHelp("The same for mlx-lm.", valueName: "archive#selection"))
    var mlx: String?

    @Option(
      help: ArgumentHelp(
        "The same of a pipeline of images, as kohya's scripts and ComfyUI have it: one file.",
        valueName: "archive#selection"))
    var kohya: String?

    @Option(help: ArgumentHelp("The same for diffusers.", valueName: "archive#selection"))
    var diffusers: String?

    /// What is to be exported, and for whom.
    var choices: [(selection: String, target: AdapterExport.Target)] {
      [
        (peft, .peft), (ggufLora, .llamaCpp), (mlx, .dialect(.mlx)), (kohya, .dialect(.kohya)),
        (diffusers, .dialect(.diffusers)),
      ].compactMap { selection, target in selection.map { ($0, target) } }
    }

    @Option(
      name: .shortAndLong,
      help: ArgumentHelp("The folder to make, or with --gguf-lora and --kohya the file.", valueName: "path"))
    var output: OutputPath

    @Option(help: ArgumentHelp("Also write the shared model here: a file or a folder.", valueName: "path"))
    var sharedOut: OutputPath?

    @Flag(help: "Replace outputs that exist.")
    var force = false
  }

  @OptionGroup(title: "Input and output") var paths: Paths
  @OptionGroup(title: "Adapter") var adapter: AdapterOptions
  @OptionGroup var detached: DetachedOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    guard paths.choices.count == 1 else {
      throw ValidationError(
        "One of --peft, --gguf-lora, --mlx, --kohya and --diffusers says what to export, and for whom.")
    }
    if adapter.modulesToSave, paths.peft == nil {
      throw ValidationError("Only an adapter of PEFT has a place for whole modules.")
    }
    if paths.ggufLora != nil, !paths.output.path.hasSuffix(".gguf") {
      throw ValidationError("--gguf-lora makes one file: name it with .gguf at its end.")
    }
    if paths.kohya != nil, !paths.output.path.hasSuffix(".safetensors") {
      throw ValidationError("--kohya makes one file: name it with .safetensors at its end.")
    }
  }

  func run() throws {
    let (selection, target) = paths.choices[0]
    guard let (archive, weights) = try TensorReference(selection).openSelection(OpenArchives(work.io, detached.model))
    else {
      throw StorageError(.invalidArgument, "is no selection; name an expert: \(selection)#NAME", file: selection)
    }
    var options = try adapter.options()
    options.target = target
    options.baseModel = options.baseModel ?? paths.sharedOut?.path ?? detached.sharedFrom
    let export = try AdapterExport(archive, weights, options: options)
    if adapter.strict, let first = export.leftOut.first {
      throw StorageError(
        .unsupportedFeature,
        "has no place in the adapter: \(first.reason.rawValue); so it is with \(counted(export.leftOut.count, "tensor"))",
        file: selection, tensor: first.tensor)
    }
    var notes: [String] = []
    let report = try reporting.withProgress { show in
      // Refused now, if it is to be refused, and not after the shared model.
      for output in [paths.output.path] + [paths.sharedOut?.path].compactMap({ $0 }) {
        try FileTree.check(output, replacesNoneOf: [archive.path] + [detached.sharedFrom].compactMap { $0 })
      }
      var outputs: [any StagedOutput] = []
      let folder = target == .peft ? try AdapterExport.folder(paths.output.path, replacing: paths.force) : nil
      if let folder { outputs.append(folder) }
      if let sharedOut = paths.sharedOut {
        let shared = try stageShared(of: archive, to: sharedOut.path, show)
        outputs.append(shared.output)
        notes += shared.notes
      }
      let progress: (UInt64, UInt64) -> Void = { show(WorkProgress(stage: "exporting", done: $0, total: $1)) }
      let report: AdapterExport.Report
      switch target {
      case .peft: report = try export.fill(folder!, threads: work.pipeline.threads, progress: progress)
      case .llamaCpp:
        let staged = try export.stageFile(
          paths.output.path, replacing: paths.force, threads: work.pipeline.threads, progress: progress)
        outputs.append(staged.output)
        report = staged.report
      case .dialect:
        let staged = try export.stageDialect(
          paths.output.path, replacing: paths.force, threads: work.pipeline.threads, progress: progress)
        outputs.append(staged.output)
        notes += staged.notes
        report = staged.report
      }
      try commitTogether(outputs)
      return report
    }
    ExportReport(
      path: paths.output.path, sharedPath: paths.sharedOut?.path, export: export, report: report, notes: notes
    ).print(reporting)
  }

  private func stageShared(
    of archive: Archive, to path: String, _ show: (WorkProgress) -> Void
  ) throws -> (output: any StagedOutput, notes: [String]) {
    let shared = try Reconstructor(archive, memoryLimit: 0).mix(.shared)
    let destination = try CheckpointDestination(path, replacing: paths.force)
    let formatted = try FormattedSource(shared, for: destination.format, files: shared.files.map(\.content), nil)
    let staged = try destination.stage(
      formatted.source, carriedFiles: destination.layout == .folder ? shared.files.map(\.content) : [],
      threads: work.pipeline.threads
    ) { show(WorkProgress(stage: "writing the shared model", done: $0, total: $1)) }
    return (staged.output, formatted.notes.map { "\(path): \($0)" })
  }
}

/// What the adapter is to be like.
struct AdapterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "At most this rank: longer factors are truncated, matrices stored otherwise approximated (default: all factors, nothing else).",
      valueName: "r"))
  var rank: Int?

  @Flag(help: "Give every module the same rank, with zeros, instead of a rank_pattern.")
  var pad = false

  @Option(help: ArgumentHelp("Dtype of A and B (default: f32).", valueName: "dtype"))
  var dtype = AdapterDType.f32

  @Flag(help: "Refuse, with exit code 3, unless the adapter holds all that differs from the shared model.")
  var strict = false

  @Flag(
    help: "Keep what no update can hold whole, in modules_to_save, where PEFT can load it. vLLM refuses such adapters.")
  var modulesToSave = false

  @Option(
    help: ArgumentHelp(
      "In front of the tensors' names in the model to be adapted, such as 'transformer.' (default: by config.json).",
      valueName: "text"))
  var prefix: String?

  @Option(
    help: ArgumentHelp(
      "Modules that are embeddings (default: *embed_tokens, *embeddings, *wte and the like). Repeat for more.",
      valueName: "glob"))
  var embedding: [String] = []

  @Option(
    help: ArgumentHelp(
      "base_model_name_or_path (default: --shared-out, or --shared-from of a detached archive).", valueName: "name"))
  var baseModel: String?

  @Option(
    help:
      "What updates of a layer's experts are called: as peft has the model in memory, or per-expert, by tensors of their own on disk, which vLLM wants."
  )
  var naming = AdapterNaming.memory

  @Option(
    help: ArgumentHelp(
      "With --kohya and --diffusers, of a model that is no pipeline: what of one it is, such as unet.",
      valueName: "name"))
  var component: String?

  @Option(help: ArgumentHelp("task_type, such as CAUSAL_LM (default: by config.json).", valueName: "type"))
  var taskType: String?

  func validate() throws {
    if let rank, rank < 1 { throw ValidationError("--rank must be at least 1.") }
  }

  func options() throws -> AdapterExport.Options {
    var options = AdapterExport.Options()
    options.rank = rank
    options.isPadded = pad
    options.dtype = dtype.format
    options.savesModules = modulesToSave
    options.prefix = prefix
    options.embeddings = embedding.isEmpty ? nil : try embedding.map { try Glob($0) }
    options.baseModel = baseModel
    options.taskType = taskType
    options.component = component
    options.isPerExpert = naming == .perExpert
    return options
  }
}

enum AdapterNaming: String, ExpressibleByArgument, CaseIterable {
  case memory
  case perExpert = "per-expert"
}

/// What `export` says at the end.
private struct ExportReport {
  let path: String
  let sharedPath: String?
  let export: AdapterExport
  let report: AdapterExport.Report
  let notes: [String]

  func print(_ options: OutputOptions) {
    if options.json { return Console.result(json) }
    for note in notes { Console.talk("note: \(note)") }
    for reason in AdapterExport.LeftOut.Reason.allCases {
      let tensors = export.leftOut.filter { $0.reason == reason }
      guard let first = tensors.first else { continue }
      Console.talk(
        "note: not in the adapter: \(counted(tensors.count, "tensor")), \(reason.rawValue) (\(first.tensor))")
    }
    if !export.prefix.isEmpty, export.options.target != .llamaCpp {
      Console.talk("note: modules are named with \"\(export.prefix)\" in front")
    }
    if export.wholeTensorCount > 0 {
      Console.talk(
        "note: whole: \(counted(export.wholeTensorCount, "tensor")), with \(counted(export.savedModules.count, "module")) in modules_to_save"
      )
    }
    if let rows = export.resizedRows {
      Console.talk("note: for \(rows) tokens: model.resize_token_embeddings(\(rows)) before PEFT loads the adapter")
    }
    if let sharedPath { Console.result("\(sharedPath): the shared model") }
    let rank = "rank \(export.hasRankPattern ? "up to " : "")\(export.rank)"
    let error = report.error.map { ", relative error \($0.significant(3)) of the updates" } ?? ""
    Console.result(
      "\(path): \(counted(export.updateCount, "module")), \(rank), \(ByteSize.text(report.bytes))\(error)")
  }

  private var json: JSONValue {
    var object: JSONObject = [
      "output": .string(path), "modules": JSONValue(export.updateCount), "rank": JSONValue(export.rank),
      "rank_pattern": .bool(export.hasRankPattern), "tensors": JSONValue(report.tensors),
      "bytes": JSONValue(report.bytes), "prefix": .string(export.prefix),
      "modules_to_save": .array(export.savedModules.map { .string($0) }),
      "whole_tensors": JSONValue(export.wholeTensorCount),
      "left_out": .array(
        export.leftOut.map { ["tensor": .string($0.tensor), "reason": .string($0.reason.rawValue)] }),
    ]
    if !notes.isEmpty { object["notes"] = .array(notes.map { .string($0) }) }
    if let sharedPath { object["shared"] = .string(sharedPath) }
    if let error = report.error { object["error"] = .number(error) }
    if let error = report.worstError { object["worst_error"] = .number(error) }
    if let tensor = report.worstTensor { object["worst_tensor"] = .string(tensor) }
    return .object(object)
  }
}

/// What A and B can be: PEFT has no other.
enum AdapterDType: String, ExpressibleByArgument, CaseIterable {
  case f32, f16, bf16

  var format: FloatFormat {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    }
  }
}
