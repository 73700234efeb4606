import ArgumentParser
import TMPack

struct Plan: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Predict what pack would give and take: sizes, errors, time, memory, disk.",
    discussion: """
      Examples:
        tmpack plan --base base/ --expert math=m/ --expert code=c/
        tmpack plan --base base/ --expert m/ --budget-per-expert 20MB -o z.tmpack

      Takes pack's options. It reads headers and a sample of the tensors, and makes no archive.
      """)

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where the archive would be: for the free disk.", valueName: "path"))
  var output: OutputPath?

  @Option(help: ArgumentHelp("Share of the tensors of each kind to look at; two at least.", valueName: "share"))
  var sample = Planner.defaultSampleShare

  @OptionGroup var options: PackOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    guard sample > 0, sample <= 1 else { throw ValidationError("--sample must be above 0 and at most 1.") }
  }

  func run() throws {
    let (base, inputs) = try options.open()
    let packer = try options.packer(try options.shared.plannedModel(options.work))
    let planner = try Planner(
      packer, sampleShare: sample, inputMode: options.work.io, writesSharedModel: options.shared.sharedOut != nil)
    let plan = try reporting.withProgress {
      try planner.plan(base: base, experts: inputs, output: output?.path, progress: $0)
    }
    PlanReport(plan: plan, inputs: inputs, unusedPatterns: options.factors.unusedPatterns(inputs)).print(reporting)
    // What packing would surely refuse, planning does not call sound.
    if case .refused = plan.verdict { throw ExitCode(StorageError.Family.usage.rawValue) }
  }
}
