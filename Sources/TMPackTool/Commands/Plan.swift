import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackPlanning

struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Predict what pack would give and take: sizes, errors, time, memory, disk.",
    discussion: """
      Examples:
        tmpack plan --base base/ --expert math=m/ --expert code=c/
        tmpack plan --base base/ --expert m/ --budget-per-expert 20MB -o z.tmpack
        tmpack plan --base base/ --expert math=m/ --tasks tasks.json
        tmpack plan --base base/ --expert m/ --eval 'score {checkpoint}' -o z.tmpack

      Takes pack's options. It reads headers and a sample of the tensors, and makes no archive.

      With --tasks it makes a list of the jobs instead, for any number of processes to share: see tmpack run and tmpack join.
      """)

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where the archive would be: for the free disk.", valueName: "path"))
  var output: OutputPath?

  @Option(help: ArgumentHelp("Share of the tensors of each kind to look at; two at least.", valueName: "share"))
  var sample = Planner.defaultSampleShare

  @Option(help: ArgumentHelp("Make a task list instead: what run and join need to know.", valueName: "path"))
  var tasks: OutputPath?

  @Flag(help: "Replace the task list if it exists.")
  var force = false

  @OptionGroup var options: PackOptions
  @OptionGroup(title: "Scores") var score: ScoreOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    try options.validate(score)
    if score.command != nil {
      if tasks != nil { throw ValidationError("--eval and --tasks exclude each other.") }
      if output == nil {
        throw ValidationError("--eval packs candidates beside the archive: say where with -o/--output.")
      }
      if options.shared.sharedOut != nil { throw ValidationError("--shared-out belongs to pack; plan writes nothing.") }
    }
    guard sample > 0, sample <= 1 else { throw ValidationError("--sample must be above 0 and at most 1.") }
    if tasks != nil, output != nil {
      throw ValidationError("--tasks makes no prediction; -o/--output belongs to join.")
    }
  }

  func run() throws {
    if let tasks { return try writeTasks(to: tasks.path) }
    if let output, score.command != nil {
      let (base, inputs) = try options.open()
      let model = try options.shared.plannedModel(base: base, experts: inputs, options.work)
      let found = try options.search(score, model, base, inputs, besides: output.path, reporting)
      found?.print(reporting)
      return
    }
    try options.predict(output: output?.path, sample: sample, reporting)
  }

  private func writeTasks(to path: String) throws {
    let arguments = TaskArguments.packing(Arguments.spread(Arguments.all).dropFirst())
    let packing = try TaskPacking(arguments, work: options.work)
    let list = try packing.list()
    // Made again of the same, it is the same.
    let isThere = FileTree.kind(of: path) == .file && (try? ReadableFile(path).hasBytes(list.text)) == true
    if !isThere {
      let file = try AtomicFile(path, replacing: force)
      try file.write(list.text)
      try file.commit()
    }
    if reporting.json {
      return Console.result([
        "tasks": .string(path), "plan": .string(list.plan.hexadecimal), "jobs": JSONValue(list.jobCount),
        "cost": JSONValue(list.cost),
      ])
    }
    Console.result("\(path): \(counted(list.jobCount, "job")), plan \(list.plan.hexadecimal.prefix(12))")
    for pattern in packing.options.factors.unusedPatterns(packing.experts) {
      Console.talk("note: \(pattern) matches no tensor")
    }
  }
}

extension PackOptions {
  /// Says what packing would give and take.
  ///
  /// - Parameter output: where the archive would be; nil if that is not known.
  func predict(output: String?, sample: Double, _ reporting: OutputOptions) throws {
    let (base, inputs) = try open()
    let packer = try packer(try shared.plannedModel(base: base, experts: inputs, work), inputs)
    let planner = try Planner(
      packer, sampleShare: sample, inputMode: work.io, writesSharedModel: shared.sharedOut != nil)
    let plan = try reporting.withProgress {
      try planner.plan(base: base, experts: inputs, output: output, progress: $0)
    }
    PlanReport(plan: plan, inputs: inputs, unusedPatterns: factors.unusedPatterns(inputs)).print(reporting)
    // What packing would surely refuse, planning does not call sound.
    if case .refused = plan.verdict { throw ExitCode(StorageError.Family.usage.exitCode) }
  }
}

extension ReadableFile {
  fileprivate func hasBytes(_ bytes: [UInt8]) throws(StorageError) -> Bool {
    guard size == UInt64(bytes.count) else { return false }
    return try withBytes(at: 0, count: bytes.count) { $0.elementsEqual(bytes) }
  }
}
