import ArgumentParser
import TMPackFactorization
import TMPackReading
import TMPackSharing

struct Join: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join",
    abstract: "Make an archive of the parts that runs have made.",
    discussion: """
      Example:
        tmpack join tasks.json parts/ -o zoo.tmpack

      The archive has the bytes that pack gives, for any number of shares. The models are needed still: their other files are \
      packed now, and a rate that is to be searched (--budget, --error and their like) is searched now.
      """)

  @Argument(help: ArgumentHelp("What plan --tasks has made.", valueName: "tasks"))
  var tasks: String

  @Argument(help: ArgumentHelp("The parts of all shares; of a folder, the files *.part.", valueName: "part"))
  var parts: [String]

  @OptionGroup(title: "Archive") var archive: Pack.Archive
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let (packing, list) = try TaskPacking.open(tasks, work: work)
    let parts = try PartSet(parts, of: list)
    let summary = try reporting.withProgress {
      try packing.packer.join(
        parts, of: list, base: packing.base, experts: packing.experts, to: archive.output.path,
        replacing: archive.force, resuming: archive.resume, progress: $0)
    }
    var report = PackReport(
      path: archive.output.path, summary: summary, overflows: summary.overflows, base: packing.base,
      inputs: packing.experts,
      unusedPatterns: packing.options.factors.unusedPatterns(packing.experts), options: packing.options.record)
    if parts.kernels.count > 1 {
      report.otherNotes = [
        "the parts were made with BLAS kernels for \(parts.kernels.joined(separator: ", ")): the bytes may be others than pack's"
      ]
    }
    report.print(reporting)
  }
}
