import ArgumentParser
import TMPackByteIO
import TMPackPacking

struct Add: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Add experts to an archive, in place.",
    discussion: """
      Example:
        tmpack add zoo.tmpack --expert law=law/

      It is packed with the options of the archive's last expert, unless others are given. The shared model and the other experts stay as they are. A crash at any instant leaves the archive as it was.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Option(
    name: .customLong("expert"),
    help: ArgumentHelp(
      "A fine-tuned checkpoint or PEFT adapter; without a name, that of its file. Repeat for each, or give several.",
      valueName: "name=path"))
  var experts: [NamedPath]

  @OptionGroup var adapterBase: AdapterBaseOptions
  @OptionGroup(title: "Factors") var factors: FactorOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let opened = try adapterBase.detached.open(archive, work.io)
    let (factors, taken) = try factors.completed(by: opened)
    if !taken.isEmpty, !reporting.json {
      Console.talk("note: packed as the archive's experts: \(taken.joined(separator: " "))")
    }
    let archives = OpenArchives(work.io, adapterBase.detached, [opened])
    let shared = try opened.sharedManifest().infos
    let inputs = try experts.map { expert in
      let input = try expert.expertInput(work.io, decoding: !factors.lossless) { () throws(StorageError) in
        try adapterBase.source(archives, archive: opened)
      }.aligned(to: shared)
      return factors.lossless ? input : try input.matchingDTypes(of: shared)
    }
    let sizeBefore = opened.size
    let packer = Packer(
      rules: try factors.rules().unified(over: inputs.map(\.checkpoint.source)),
      rate: try factors.rate(), storesCorrections: factors.exact,
      level: factors.level, pipeline: work.pipeline, options: factors.record)
    let summary = try reporting.withProgress { try packer.add(inputs, to: opened, progress: $0) }
    if opened.hasRouter, !reporting.json {
      let names = inputs.map(\.name).joined(separator: ", ")
      Console.talk("note: the archive's router has no class for \(names); router fit --force makes one that has")
    }
    PackReport(
      path: archive, summary: summary, overflows: 0, bytesBefore: sizeBefore, inputs: inputs,
      unusedPatterns: isPatternGiven ? factors.unusedPatterns(inputs) : [], options: factors.record
    ).print(reporting)
  }

  /// The archive's own patterns need not match what is added.
  private var isPatternGiven: Bool { !(factors.include + factors.exclude + factors.override).isEmpty }
}
