import ArgumentParser
import TMPack

struct Add: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Add experts to an archive, in place.",
    discussion: """
      Example:
        tmpack add zoo.tmpack --expert law=law/

      The shared model and the other experts stay as they are. A crash at any instant leaves the archive as it was.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Option(
    name: .customLong("expert"),
    help: ArgumentHelp(
      "A fine-tuned checkpoint; without a name, that of its file. Repeat for each.", valueName: "name=path"))
  var experts: [NamedPath]

  @Option(help: ArgumentHelp("The shared model of a detached archive.", valueName: "path"))
  var sharedFrom: String?

  @OptionGroup(title: "Factors") var factors: FactorOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let inputs = try experts.map { try ExpertInput(name: $0.name, checkpoint: Checkpoint.open($0.path, mode: work.io)) }
    let opened = try Archive(
      archive, mode: work.io, sharedModel: try sharedFrom.map { try Checkpoint.open($0, mode: work.io).source })
    let packer = Packer(
      rules: try factors.rules(), storesCorrections: factors.exact, level: factors.level, pipeline: work.pipeline,
      options: factors.record)
    let summary = try reporting.withProgress { try packer.add(inputs, to: opened, progress: $0) }
    let skipped = inputs.flatMap { input in
      input.checkpoint.skippedFiles.map { (path: input.checkpoint.path, file: $0) }
    }
    PackReport(path: archive, summary: summary, skipped: skipped).print(reporting)
  }
}
