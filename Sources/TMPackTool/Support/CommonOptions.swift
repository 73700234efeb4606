import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit

extension InputMode: ExpressibleByArgument {}
extension DType {
  /// `f16` as safetensors has it; `float16`, `torch.float16` and `fp16` as others do.
  init?(argument: String) {
    let name = argument.lowercased()
    let plain = name.hasPrefix("torch.") ? String(name.dropFirst(6)) : name
    let synonyms = [
      "bfloat16": "bf16", "float16": "f16", "half": "f16", "fp16": "f16", "float32": "f32", "float": "f32",
      "fp32": "f32",
      "float64": "f64", "double": "f64", "fp64": "f64", "float8_e4m3fn": "f8_e4m3", "float8_e5m2": "f8_e5m2",
    ]
    self.init(rawValue: (synonyms[plain] ?? plain).uppercased())
  }
}

extension FloatFormat: ExpressibleByArgument {
  public static var allValueStrings: [String] { ["f64", "f32", "f16", "bf16"] }

  public init?(argument: String) {
    guard let format = DType(argument: argument)?.floatFormat else { return nil }
    self = format
  }
}

/// What every command takes.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as JSON.")
  var json = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  func withProgress<Result>(_ body: (@escaping (WorkProgress) -> Void) throws -> Result) rethrows -> Result {
    let display = ProgressDisplay(isQuiet: quiet)
    defer { display.finish() }
    return try body { display.show($0) }
  }
}

/// What every command that reads checkpoints or archives takes.
struct ReadingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("How files are read.", valueName: "mode"))
  var io: InputMode = .automatic
}

/// What every command that reads whole models takes.
struct WorkOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Threads that work at once (default: one a core).", valueName: "n"))
  var threads: Int?

  @OptionGroup var reading: ReadingOptions

  var io: InputMode { reading.io }

  func validate() throws {
    guard threads.map({ $0 >= 1 }) ?? true else { throw ValidationError("--threads must be at least 1.") }
  }

  var pipeline: OrderedPipeline { threads.map { OrderedPipeline(threads: $0) } ?? .automatic }
}

/// `NAME=PATH`, or a path whose last component gives the name: a folder's whole, a file's without its suffix.
struct NamedPath: ExpressibleByArgument {
  static var defaultCompletionKind: CompletionKind { .file() }

  let name: String
  let path: String

  init(name: String, path: String) {
    self.name = name
    self.path = path
  }

  init?(argument: String) {
    if let equals = argument.firstIndex(of: "=") {
      name = String(argument[..<equals])
      path = String(argument[argument.index(after: equals)...])
    } else {
      path = argument
      name = Checkpoint.defaultName(of: argument)
    }
    if name.isEmpty || path.isEmpty { return nil }
  }

  /// - Parameters:
  ///   - decoding: whether weights that are kept as codes are to be numbers.
  ///   - base: the model that an adapter is for, asked for if `path` is one.
  func expertInput(
    _ io: InputMode, statistics: String? = nil, decoding: Bool, base: () throws(StorageError) -> AdapterBase?
  ) throws -> ExpertInput {
    do { try ExpertName.check(name) } catch {
      // In an archive such a name would be the file's fault.
      throw error.code == .malformed ? StorageError(.invalidArgument, "\(error)") : error
    }
    let checkpoint = try Checkpoint.open(path, onBase: base(), mode: io).holdingTensors()
    return try ExpertInput(
      name: name, checkpoint: decoding ? checkpoint.dequantized() : checkpoint,
      statistics: statistics.map { path throws(StorageError) in try Checkpoint.open(path, mode: io).source })
  }
}

extension Checkpoint {
  /// Refuses one without any: nothing can be learnt from it.
  func holdingTensors() throws(StorageError) -> Checkpoint {
    guard !source.tensors.isEmpty else {
      throw StorageError(
        .invalidArgument, "holds no tensors: saving it may have failed; tmpack inspect says what a model holds",
        file: path)
    }
    return self
  }
}

/// The file or folder that a command makes.
struct OutputPath: ExpressibleByArgument {
  static var defaultCompletionKind: CompletionKind { .file() }

  let path: String

  init?(argument: String) {
    if argument.isEmpty { return nil }
    path = argument
  }

  /// Refuses a file that could not be made, before the long part that comes first.
  func checkFile(replacing: Bool) throws(StorageError) { _ = try AtomicFile(path, replacing: replacing) }

  /// Whether it names a file right in that folder, which may not be there yet.
  func isIn(_ folder: OutputPath) -> Bool {
    FileTree.parent(path) == FileTree.parent(FileTree.join(folder.path, "a file"))
  }
}

extension Archive {
  /// Opens an archive and warns of what is in its file besides (TMP-2-6).
  static func opened(_ path: String, _ io: InputMode) throws(StorageError) -> Archive {
    try ArchivePath.check(path)
    let archive = try Archive(path, mode: io)
    for fault in archive.file.slots.residue { Console.talk("warning: \(fault)") }
    return archive
  }
}

/// For archives whose shared model is elsewhere.
struct DetachedOptions: ParsableArguments {
  @Option(
    name: [.customLong("shared-from"), .customLong("base")],
    help: ArgumentHelp("The shared model of a detached archive.", valueName: "path"), completion: .file())
  var sharedFrom: String?

  var model: DetachedModel { DetachedModel(path: sharedFrom) }
}
