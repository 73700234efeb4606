import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check an archive, what it says of its sources, and who has signed it; or a checkpoint.",
    discussion: """
      Examples:
        tmpack verify zoo.tmpack
        tmpack verify zoo.tmpack --deep
        tmpack verify zoo.tmpack --source math=math/ --source code=code.safetensors
        tmpack verify zoo.tmpack --receipt mix.json --embedding inputs.npy
        tmpack verify zoo.tmpack --signer team.pub --min-generation 3
        tmpack verify model/ --against model.digests.json --finite

      Exit code 2 when anything is wrong; the experts that are still usable are named.
      """)

  @Argument(help: ArgumentHelp("The archive, or a checkpoint.", valueName: "archive"), completion: .file())
  var archive: String

  @Flag(help: "Check structure and the digests of header, index and sections only.")
  var quick = false

  @Flag(help: "Also decode everything.")
  var deep = false

  @Option(
    help: ArgumentHelp(
      "Prove an expert's recorded errors and digests again, against the original.", valueName: "name=path"))
  var source: [NamedPath] = []

  @Option(help: ArgumentHelp("Make the mix of a receipt of unpack again and compare it.", valueName: "path"))
  var receipt: String?

  @Option(
    help: ArgumentHelp(
      "With --receipt: the embeddings that were routed, to compute the weights again.", valueName: "path"))
  var embedding: String?

  @OptionGroup(title: "Trust") var trust: TrustOptions

  @Option(
    help: ArgumentHelp("Compare a checkpoint with the digests that tmpack digest has written.", valueName: "path"))
  var against: String?

  @Flag(help: "Of a checkpoint: also look for NaNs, infinities and tensors of zeros.")
  var finite = false

  @OptionGroup var adapterBase: AdapterBaseOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if embedding != nil, receipt == nil { throw ValidationError("--embedding belongs to --receipt.") }
    if quick, deep { throw ValidationError("--quick and --deep exclude each other.") }
  }

  func run() throws {
    if try against != nil || finite || trust.isGiven && !ArchivePath.isArchive(archive) {
      let model = ModelVerification(
        path: archive, against: against, isFinite: finite, trust: trust, work: work, reporting: reporting)
      if try !model.run() { throw ExitCode(StorageError.Family.format.exitCode) }
      return
    }
    // What is in the file besides is among the faults.
    try ArchivePath.check(archive)
    let opened = try adapterBase.detached.complete(Archive(archive, mode: work.io), work.io, isRequired: receipt != nil)
    try trust.check(opened)
    if opened.file.slots.isBeingWritten {
      Console.talk("note: another process is changing it; this is generation \(opened.file.slot.generation)")
    }
    let read = try receipt.map { try MixReceipt(contentsOf: $0) }
    let inputs = try embedding.map { try Embeddings(contentsOf: $0, mode: work.io) }
    let archives = OpenArchives(work.io, adapterBase.detached, [opened])
    let verification = Verification(opened, pipeline: work.pipeline)
    let level: Verification.Level = quick ? .quick : deep ? .deep : .full
    var provedSources: [String] = []
    var unproved: [String] = []
    let report = try reporting.withProgress { show in
      var report = try verification.run(level, progress: show)
      guard report.isSound else { return report }
      for named in source {
        let model = try Checkpoint.open(
          named.path, onBase: try adapterBase.source(archives, archive: opened), mode: work.io)
        // As it was when it was packed: in an archive with loss, what were codes are numbers.
        let expert = try Reconstructor(opened, memoryLimit: 0).mix(.expert(named.name))
        let original = try Quantization(of: expert).weights.isEmpty ? model.dequantized().source : model.source
        unproved += model.otherWeightFiles
        let findings = try verification.proveSource(
          ofExpert: named.name, try MatchedDTypes(original, as: expert.tensors) ?? original,
          architecture: ModelArchitecture(of: model), progress: show)
        if findings.isEmpty { provedSources.append(named.name) }
        report.add(Self.summary(of: findings, named, tensors: expert.tensors.count))
      }
      if let read { report.add(try verification.prove(read, inputs: inputs, progress: show)) }
      return report
    }
    for path in unproved { Console.talk("note: \(path) is not proved: it holds weights that are not the model's") }
    show(report, level, opened, provedSources)
    if !report.isSound { throw ExitCode(StorageError.Family.format.exitCode) }
  }

  /// Where most tensors are others, it is another model: one fault says so.
  private static func summary(
    of findings: VerificationFindings, _ named: NamedPath, tensors: Int
  ) -> VerificationFindings {
    let count = findings.faults.count + findings.unlistedCount
    guard count > 2, 2 * count > tensors, let first = findings.faults.first else { return findings }
    var summary = VerificationFindings()
    summary.add(
      StorageError(
        .digestMismatch,
        "is not what '\(named.name)' was packed from: \(count) of \(tensors) tensors are others, the first '\(first.tensor ?? "")'",
        file: named.path), losing: findings.loss)
    return summary
  }

  private func show(
    _ report: Verification.Report, _ level: Verification.Level, _ opened: Archive, _ provedSources: [String]
  ) {
    let listed = report.faults.sorted { ($0.offset ?? 0) < ($1.offset ?? 0) }
    let unlisted = report.findings.unlistedCount
    if reporting.json {
      var object = report.json(opened, level)
      object["faults"] = .array(listed.map(\.json))
      object["proved_sources"] = .array(provedSources.map { .string($0) })
      if let receipt { object["proved_receipt"] = report.isSound ? .string(receipt) : .null }
      return Console.result(.object(object))
    }
    let faults = Self.texts(listed)
    for text in faults { Console.talk(text) }
    if report.isSound {
      let proved = source.isEmpty ? "" : "; proved against the sources of \(source.map(\.name).joined(separator: ", "))"
      let receipt = self.receipt.map { "; \($0) is proved\(embedding == nil ? "" : ", weights too")" } ?? ""
      let signed = trust.isGiven ? "; signed by \(trust.signer.joined(separator: ", "))" : ""
      let isUnseen = opened.isDetached && adapterBase.detached.path(for: opened) == nil
      let unseen = isUnseen ? "; the detached shared model was not given" : ""
      let count = counted(opened.experts.count, "expert")
      Console.result(
        "\(archive): sound (\(level.rawValue)), \(count), root \(opened.rootDigest)\(signed)\(unseen)\(proved)\(receipt)"
      )
    } else {
      let usable = report.usableExperts.isEmpty ? "none" : report.usableExperts.joined(separator: ", ")
      let more = unlisted > 0 ? " and \(unlisted) that are not listed" : ""
      Console.result("\(archive): \(counted(faults.count, "fault"))\(more); usable experts: \(usable)")
    }
  }

  /// One line for each fault: a damaged frame is one, whatever the number of tensors in it.
  private static func texts(_ errors: [StorageError]) -> [String] {
    var texts: [String] = []
    var rest = errors[...]
    while let first = rest.first {
      var place = first
      place.tensor = nil
      let same = rest.prefix { $0.message == first.message && $0.offset == first.offset && $0.expert == first.expert }
      let names = same.compactMap(\.tensor)
      rest = rest.dropFirst(same.count)
      let more = names.count > 3 ? " and \(names.count - 3) more" : ""
      let list = names.prefix(3).map { "'\($0)'" }.joined(separator: ", ")
      texts.append(names.count > 1 ? "\(place) (tensors \(list)\(more))" : "\(first)")
    }
    return texts
  }
}
