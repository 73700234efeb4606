import ArgumentParser
import TMPack

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check an archive, and what it says of its sources.",
    discussion: """
      Examples:
        tmpack verify zoo.tmpack
        tmpack verify zoo.tmpack --deep
        tmpack verify zoo.tmpack --source math=math/ --source code=code.safetensors

      Exit code 2 when anything is wrong; the experts that are still usable are named.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Flag(help: "Check structure and the digests of header, index and sections only.")
  var quick = false

  @Flag(help: "Also decode everything.")
  var deep = false

  @Option(
    help: ArgumentHelp(
      "Prove an expert's recorded errors and digests again, against the original.", valueName: "name=path"))
  var source: [NamedPath] = []

  @Option(help: ArgumentHelp("The shared model of a detached archive.", valueName: "path"))
  var sharedFrom: String?

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if quick, deep { throw ValidationError("--quick and --deep exclude each other.") }
  }

  func run() throws {
    let opened = try Archive(
      archive, mode: work.io, sharedModel: try sharedFrom.map { try Checkpoint.open($0, mode: work.io).source })
    let verification = Verification(opened, pipeline: work.pipeline)
    let level: Verification.Level = quick ? .quick : deep ? .deep : .full
    var report = try reporting.withProgress { show in
      var report = try verification.run(level, progress: show)
      guard report.isSound else { return report }
      for named in source {
        report.faults += try verification.proveSource(
          ofExpert: named.name, try Checkpoint.open(named.path, mode: work.io).source, progress: show)
      }
      return report
    }
    report.faults.sort { ($0.error.offset ?? 0) < ($1.error.offset ?? 0) }
    show(report, level, opened)
    if !report.isSound { throw ExitCode(StorageError.Family.format.rawValue) }
  }

  private func show(_ report: Verification.Report, _ level: Verification.Level, _ opened: Archive) {
    if reporting.json {
      return Console.result([
        "archive": .string(archive), "level": .string(level.rawValue), "sound": .bool(report.isSound),
        "root_digest": .string(opened.rootDigest.hexadecimal),
        "usable_experts": .array(report.usableExperts.map { .string($0) }),
        "shared_usable": .bool(report.isSharedUsable),
        "proved_sources": .array(report.isSound ? source.map { .string($0.name) } : []),
        "faults": .array(report.faults.map(\.error.json)),
      ])
    }
    for fault in report.faults { Console.talk("\(fault.error)") }
    if report.isSound {
      let proved = source.isEmpty ? "" : "; proved against the sources of \(source.map(\.name).joined(separator: ", "))"
      Console.result(
        "\(archive): sound (\(level.rawValue)), \(opened.experts.count) experts, root \(opened.rootDigest)\(proved)")
    } else {
      let usable = report.usableExperts.isEmpty ? "none" : report.usableExperts.joined(separator: ", ")
      Console.result("\(archive): \(report.faults.count) faults; usable experts: \(usable)")
    }
  }
}
