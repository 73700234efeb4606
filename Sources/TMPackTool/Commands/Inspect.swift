import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackReading

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "List what an archive, or a checkpoint, holds.",
    discussion: """
      Examples:
        tmpack inspect zoo.tmpack
        tmpack inspect zoo.tmpack --tensors --expert math
        tmpack inspect zoo.tmpack --json --tensors
        tmpack inspect zoo.tmpack --expert math --sort error --top 10
        tmpack inspect model/ --tensors

      An error is the relative error of the difference from the shared model, ‖v − decoded‖ ÷ ‖v‖.
      """, aliases: ["ls", "info"])

  @Argument(help: ArgumentHelp("The archive, or a checkpoint.", valueName: "archive"), completion: .file())
  var archive: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Option(
    help: ArgumentHelp("List only the tensors of this expert.", valueName: "name"), completion: Completing.experts)
  var expert: String?

  @Option(help: ArgumentHelp("Order of an expert's tensors: the largest error or size first.", valueName: "by"))
  var sort: TensorOrder?

  @Option(help: ArgumentHelp("List only so many tensors of each expert.", valueName: "n"))
  var top: Int?

  func validate() throws {
    if let top, top < 1 { throw ValidationError("--top must be at least 1.") }
  }

  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    if try !ArchivePath.isArchive(archive), let model = try? Checkpoint.open(archive, mode: reading.io) {
      guard expert == nil else {
        throw StorageError(.invalidArgument, "is a checkpoint, and has no experts", file: archive)
      }
      let inspection = ModelInspection(checkpoint: model, listsTensors: tensors)
      if reporting.json { return Console.result(inspection.json) }
      for text in inspection.texts { Console.result(text) }
      return
    }
    let opened = try Archive.opened(archive, reading.io)
    let positions = try expert.map { [try opened.file.expertIndex(named: $0)] } ?? Array(opened.experts.indices)
    let content = ArchiveInspection(
      opened, positions: positions, listsTensors: tensors || expert != nil, order: sort, limit: top ?? .max)
    if reporting.json {
      Console.result(.object(try content.json()))
    } else {
      for text in try Inspection(content: content).texts() { Console.result(text) }
    }
  }
}

/// The presentation of an archive's content.
struct Inspection {
  let content: ArchiveInspection
  private var archive: Archive { content.archive }
  private var positions: [Int] { content.positions }

  func texts() throws -> [String] {
    let manifest = try archive.sharedManifest()
    let parameters = manifest.tensors.reduce(0) { $0 + $1.info.shape.elementCount }
    let settings = archive.method.parameters.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(
      separator: ", ")
    let storage =
      archive.isDetached
      ? "detached" : "\(archive.isMappable ? "mappable" : "embedded"), \(ByteSize.text(try content.sharedBytes()))"
    var texts = [
      "\(archive.path)  \(ByteSize.text(archive.size))  format \(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion), generation \(archive.file.slot.generation)",
      "root    \(archive.rootDigest)",
      "shared  \(archive.method.name.rawValue)\(settings.isEmpty ? "" : " (\(settings))"), \(manifest.tensors.count) tensors, \(parameters) parameters, \(storage)",
    ]
    if let router = try archive.routerManifest() {
      texts.append("router  \(router.summary)")
      texts.append("        classes \(router.classes.joined(separator: ", "))")
      if let settings = router.settings { texts.append("        \(settings)") }
    }
    texts.append("")
    // Few archives have corrections.
    let isCorrected = positions.contains { archive.experts[$0].summary.correctionBytes != nil }
    var table = TextTable(
      ["expert", "tensors", "factors", "stored"] + (isCorrected ? ["of it corrections"] : []) + ["error", "worst"],
      leftColumns: [0, 2])
    for position in positions {
      let expert = archive.experts[position]
      let factors = expert.summary.factors.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(
        separator: ", ")
      let corrections = expert.summary.correctionBytes.map { ByteSize.text($0) } ?? ""
      table.add(
        [
          expert.name, String(expert.summary.tensors), factors.isEmpty ? "unchanged" : factors,
          ByteSize.text(expert.summary.bytes),
        ] + (isCorrected ? [corrections] : []) + [
          expert.summary.error?.value.significant(3) ?? "exact", expert.summary.worstError?.value.significant(3) ?? "",
        ])
    }
    texts.append(table.text)
    if content.listsTensors { for position in positions { texts += try tensorTexts(position, manifest) } }
    return texts
  }

  private func tensorTexts(_ position: Int, _ shared: SharedManifest) throws -> [String] {
    let manifest = try archive.file.expertSection(position).manifest
    var table = TextTable(
      ["tensor", "shape", "factor", "dtype", "rank", "raw bytes", "error"], leftColumns: [0, 1, 2, 3])
    for entry in content.entries(manifest) {
      let info = ArchiveInspection.info(entry, shared)
      table.add([
        entry.name, "\(info.shape)", entry.factor.kind.rawValue, entry.factor.form?.dtype?.rawValue ?? info.dtype,
        entry.factor.form?.rank.map(String.init) ?? "",
        String(entry.content.reduce(0) { $0 + $1.size }), entry.measures?.error.value.significant(3) ?? "",
      ])
    }
    let unchanged =
      shared.tensors.count - manifest.absent.count
      - manifest.tensors.count { shared.entry(named: $0.name) != nil }
    return [
      "", "\(archive.experts[position].name): \(unchanged) tensors unchanged, \(manifest.absent.count) absent",
      table.text,
    ]
  }
}

extension TensorOrder: ExpressibleByArgument {}
