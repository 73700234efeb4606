import ArgumentParser
import TMPackCheckpoints
import TMPackPacking
import TMPackPlanning
import TMPackReading
import TMPackTensorKit

struct Pack: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack fine-tuned checkpoints into an archive.",
    discussion: """
      Examples:
        tmpack pack --base base/ --expert math=m/ --expert c.safetensors -o z.tmpack
        tmpack pack --base base/ --expert math=m/ --lossless -o exact.tmpack
        tmpack pack --base base/ --expert m/ --rank 64 --exclude '*head*' -o z.tmpack
        tmpack pack --base base/ --expert math=lora/ --shared base -o z.tmpack
        tmpack pack --base base/ --expert math=m/ --resume -o z.tmpack
        tmpack pack --base base/ --expert tuned/*/ --dry-run -o z.tmpack
        tmpack pack --base base/ --expert m/ --eval 'score {checkpoint}' -o z.tmpack

      An expert may be a PEFT adapter of type LoRA: a folder with adapter_config.json. It is merged into the base; with \
      --shared base its factors are taken as they are.

      With --resume the same command takes up what an interrupted one has finished. --help-all lists more options.
      """)

  struct Archive: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("The archive to make.", valueName: "path"))
    var output: OutputPath

    @Flag(help: "Replace the archive if it exists.")
    var force = false

    @Flag(help: "Make nothing; predict sizes, errors, time and memory, as tmpack plan does.")
    var dryRun = false

    @Flag(
      help: "Keep what is finished beside the archive (NAME.resume) until it is complete, and take it up from there.")
    var resume = false
  }

  @OptionGroup(title: "Archive") var archive: Archive
  @OptionGroup var options: PackOptions
  @OptionGroup(title: "Scores") var score: ScoreOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if options.shared.sharedOut?.path == archive.output.path {
      throw ValidationError("--output and --shared-out are one path.")
    }
    try options.validate(score)
    if score.command != nil, archive.resume { throw ValidationError("--eval and --resume exclude each other.") }
    if archive.resume, options.shared.sharedOut != nil {
      throw ValidationError(
        "--resume needs a shared model that stays: write it with tmpack merge, and give it with --shared-from.")
    }
  }

  func run() throws {
    if archive.dryRun, score.command == nil {
      return try options.predict(
        output: archive.output.path, sample: Planner.defaultSampleShare, reporting)
    }
    let (shared, work) = (options.shared, options.work)
    var options = options
    let output = archive.output.path
    let (base, inputs) = try options.open()
    if try shared.isBaseForCodes(in: [base].compactMap { $0 } + inputs.map(\.checkpoint)) {
      Console.talk("note: the models keep weights as codes, which cannot be merged: the shared model is the base")
    }
    // Refused now, if it is to be refused, and not after the shared model.
    if shared.sharedOut != nil { try archive.output.checkFile(replacing: archive.force) }
    if shared.sharedOut == nil {
      Interrupts.remark =
        archive.resume
        ? "what is finished is kept in \(output).resume, and the same command takes it up"
        : "nothing is kept; with --resume the same command could be taken up"
    }
    let (model, written, overflows) = try reporting.withProgress { show in
      try shared.sharedModel(base: base, experts: inputs, force: archive.force, work: work, progress: show)
    }
    let found = try options.search(score, model, base, inputs, besides: output, reporting)
    if let found {
      if archive.dryRun { return found.print(reporting) }
      if !reporting.json { Console.result(found.table) }
      options.factors.rateOptions.quality = found.best?.quality
    }
    let summary = try reporting.withProgress { show in
      let packer = try options.packer(model, inputs, scores: found?.curves ?? [:])
      return archive.resume
        ? try packer.resume(base: base, experts: inputs, to: output, replacing: archive.force, progress: show)
        : try packer.pack(
          base: base, experts: inputs, to: output, replacing: archive.force, with: written, progress: show)
    }
    PackReport(
      path: output, summary: summary, overflows: overflows + summary.overflows, base: base, inputs: inputs,
      unusedPatterns: options.factors.unusedPatterns(inputs), options: options.record, scoreSearch: found
    ).print(reporting)
  }
}
