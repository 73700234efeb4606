import ArgumentParser
import TMPackJSON

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Do one share of a task list's work, and keep it in a part.",
    discussion: """
      Examples:
        tmpack run tasks.json --task 3/8 -o parts/3.part
        tmpack run tasks.json --task slurm -o parts/$SLURM_ARRAY_TASK_ID.part
        tmpack run tasks.json --task kubernetes/8 -o parts/$JOB_COMPLETION_INDEX.part

      Run it in the folder that plan was run in, or one where the models have the same paths. The parts of all shares are put \
      together by join. A part that is finished is left as it is; an interrupted run is taken up by the same command. \
      After exit code 4, and after an interrupt, trying again may help; after 1, 2, 3 and 5 it will not.
      """)

  @Argument(help: ArgumentHelp("What plan --tasks has made.", valueName: "tasks"))
  var tasks: String

  @Option(
    help: ArgumentHelp(
      "The share: i/N, the first being 1; slurm (or slurm/N) and kubernetes/N take i from the environment.",
      valueName: "share"))
  var task: TaskChoice

  @Option(name: .shortAndLong, help: ArgumentHelp("The part to make.", valueName: "path"))
  var output: OutputPath

  @Flag(help: "Replace the part if it is of another plan or share.")
  var force = false

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let share = try task.share()
    let (packing, list) = try TaskPacking.open(tasks, work: work)
    let summary = try reporting.withProgress {
      try packing.packer.run(
        share, of: list, base: packing.base, experts: packing.experts, to: output.path, replacing: force, progress: $0)
    }
    if reporting.json {
      return Console.result([
        "part": .string(summary.path), "bytes": JSONValue(summary.bytes), "share": JSONValue(share.index),
        "shares": JSONValue(share.count), "jobs": JSONValue(summary.jobs), "reused_jobs": JSONValue(summary.reusedJobs),
        "unmatched": .array(summary.unmatched.map(\.json)),
      ])
    }
    for unmatched in summary.unmatched { Console.talk("note: \(unmatched.note)") }
    let reused = summary.reusedJobs == 0 ? "" : ", \(summary.reusedJobs) of them done already"
    Console.result(
      "\(summary.path): share \(share), \(counted(summary.jobs, "job"))\(reused), \(ByteSize.text(summary.bytes))")
  }
}
