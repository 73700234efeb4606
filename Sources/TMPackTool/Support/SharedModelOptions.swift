import ArgumentParser
import TMPack

/// Which shared model, and where it is kept.
struct SharedModelOptions: ParsableArguments {
  enum Method: String, ExpressibleByArgument, CaseIterable {
    case taskArithmetic = "task-arithmetic"
    case average
    case base
  }

  @Option(
    help: ArgumentHelp(
      "How the shared model is merged (default: task-arithmetic).",
      valueName: "method"))
  var shared: Method?

  @Option(name: .customLong("lambda"), help: ArgumentHelp("λ of task arithmetic (default: 0.3).", valueName: "number"))
  var scale: Double?

  @Option(help: ArgumentHelp("Use this checkpoint, merged elsewhere, as the shared model.", valueName: "path"))
  var sharedFrom: String?

  @Flag(help: "Keep the shared model outside of the archive, bound by digest: the base, --shared-from or --shared-out.")
  var detached = false

  @Option(help: ArgumentHelp("With --detached: write the merged shared model here.", valueName: "path"))
  var sharedOut: OutputPath?

  func validate() throws {
    if sharedFrom != nil, shared != nil || scale != nil || sharedOut != nil {
      throw ValidationError("--shared-from excludes --shared, --lambda and --shared-out.")
    }
    if scale != nil, shared != nil, shared != .taskArithmetic {
      throw ValidationError("--lambda belongs to --shared task-arithmetic.")
    }
    if let scale, !scale.isFinite { throw ValidationError("--lambda must be a finite number.") }
    if sharedOut != nil, !detached { throw ValidationError("--shared-out belongs to --detached; see unpack --shared.") }
  }

  var record: [String: String] { detached ? ["detached": "true"] : [:] }

  private var method: any MergingMethod {
    switch shared ?? .taskArithmetic {
    case .taskArithmetic: TaskArithmetic(scale: scale ?? TaskArithmetic.defaultScale)
    case .average: AverageModel()
    case .base: BaseModel()
    }
  }

  /// The model without writing it: merged, where it is to be written first.
  func plannedModel(_ work: WorkOptions) throws -> Packer.SharedModel {
    try sharedFrom.map { .given(try Checkpoint.open($0, mode: work.io)) } ?? .merged(method)
  }

  func sharedModel(
    base: Checkpoint?, experts: [ExpertInput], force: Bool, work: WorkOptions, progress: (Progress) -> Void
  ) throws -> Packer.SharedModel {
    if let sharedFrom { return .given(try Checkpoint.open(sharedFrom, mode: work.io)) }
    guard let sharedOut else { return .merged(method) }
    guard let base else { preconditionFailure("validated") }
    let source = SharedModelSource(base: base.source, experts: experts.map(\.checkpoint.source), method: method)
    let destination = try CheckpointDestination(sharedOut.path, replacing: force)
    try destination.write(
      source, carriedFiles: destination.layout == .folder ? base.carriedFiles.map(\.content) : [],
      threads: work.pipeline.threads
    ) { progress(Progress(stage: "writing the shared model", done: $0, total: $1)) }
    return .given(try Checkpoint.open(sharedOut.path, mode: work.io), record: method.record)
  }
}
