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
        tmpack inspect zoo.tmpack --by layer
        tmpack inspect model/ --tensors

      What is lost is a share of the difference from the shared model: its relative error, ‖v − decoded‖ ÷ ‖v‖. A \
      tensor's share of the loss is one of all that its expert loses, by energy.
      """, aliases: ["ls", "info"])

  @Argument(help: ArgumentHelp("The archive, or a checkpoint.", valueName: "archive"), completion: .file())
  var archive: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Option(
    help: ArgumentHelp("List only the tensors of this expert.", valueName: "name"), completion: Completing.experts)
  var expert: String?

  @Option(help: ArgumentHelp("List the tensors of each expert together, by layer or by kind.", valueName: "by"))
  var by: TensorGrouping?

  @Option(help: ArgumentHelp("Order of an expert's tensors: the largest error or size first.", valueName: "by"))
  var sort: TensorOrder?

  @Option(help: ArgumentHelp("List only so many tensors, or groups of them, of each expert.", valueName: "n"))
  var top: Int?

  func validate() throws {
    if let top, top < 1 { throw ValidationError("--top must be at least 1.") }
  }

  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    if let model = try plainModel() {
      let inspection = ModelInspection(checkpoint: model, listsTensors: tensors)
      return reporting.json ? Console.result(inspection.json) : inspection.print()
    }
    let opened = try Archive.opened(archive, reading.io)
    let positions = try expert.map { [try opened.file.expertIndex(named: $0)] } ?? Array(opened.experts.indices)
    let content = ArchiveInspection(
      opened, positions: positions, listsTensors: tensors || expert != nil && by == nil, order: sort, grouping: by,
      limit: top ?? .max)
    if reporting.json {
      Console.result(.object(try content.json()))
    } else {
      try Inspection(content: content).print()
    }
  }

  /// The checkpoint, if it is not an archive that is named.
  private func plainModel() throws -> Checkpoint? {
    if try ArchivePath.isArchive(archive) { return nil }
    let model: Checkpoint
    do throws(StorageError) { model = try Checkpoint.open(archive, mode: reading.io) } catch {
      // Of a folder both could be said: that it is no archive, or what keeps it from being a model.
      guard FileTree.kind(of: archive) == .folder, try ArchivePath.archives(in: archive).isEmpty else { return nil }
      throw error
    }
    guard expert == nil, by == nil else {
      throw StorageError(.invalidArgument, "is a checkpoint, and has no experts", file: archive)
    }
    return model
  }
}

/// The presentation of an archive's content.
struct Inspection {
  let content: ArchiveInspection
  private var archive: Archive { content.archive }
  private var positions: [Int] { content.positions }

  func print() throws {
    let manifest = try archive.sharedManifest()
    let parameters = manifest.infos.reduce(0) { $0 + $1.shape.elementCount }
    let settings = archive.method.parameters.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(
      separator: ", ")
    let storage =
      archive.isDetached
      ? "detached" : "\(archive.isMappable ? "mappable" : "embedded"), \(ByteSize.text(try content.sharedBytes()))"
    let format = "format \(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion)"
    Console.result(
      "\(archive.path)  \(ByteSize.text(archive.size))  \(format), generation \(archive.file.slot.generation)")
    Console.result("root    \(archive.rootDigest)")
    Console.result(
      "shared  \(archive.method.name.rawValue)\(settings.isEmpty ? "" : " (\(settings))"), \(manifest.tensors.count) tensors, \(parameters) parameters, \(storage)"
    )
    if let router = try archive.routerManifest() {
      Console.result("router  \(router.summary)")
      Console.result("        classes \(router.classes.joined(separator: ", "))")
      if let settings = router.settings { Console.result("        \(settings)") }
    }
    Console.result("")
    Console.result(experts)
    for position in positions {
      if let grouping = content.grouping { try printGroups(of: position, by: grouping) }
      if content.listsTensors { try printTensors(of: position, manifest) }
    }
  }

  private var experts: TextTable {
    // Few archives have corrections.
    let isCorrected = positions.contains { archive.experts[$0].summary.correctionBytes != nil }
    var table = TextTable(
      ["expert", "tensors", "factors", "stored"] + (isCorrected ? ["of it corrections"] : []) + ["lost", "worst"],
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
          expert.summary.error?.value.percent ?? "nothing", expert.summary.worstError?.value.percent ?? "",
        ])
    }
    return table
  }

  private func printGroups(of position: Int, by grouping: TensorGrouping) throws {
    let manifest = try archive.file.expertSection(position).manifest
    let loss = manifest.lostEnergy
    var table = TextTable([grouping.rawValue, "tensors", "raw bytes", "lost", "of the loss"])
    for group in content.groups(manifest, by: grouping) {
      table.add([
        group.name ?? "–", String(group.tensors), String(group.rawBytes), group.error?.percent ?? "nothing",
        group.shareOfLoss(loss)?.percentOfAll ?? "",
      ])
    }
    Console.result("\n\(archive.experts[position].name)")
    Console.result(table)
  }

  private func printTensors(of position: Int, _ shared: SharedManifest) throws {
    let manifest = try archive.file.expertSection(position).manifest
    let loss = manifest.lostEnergy
    var table = TextTable(
      ["tensor", "shape", "factor", "dtype", "rank", "raw bytes", "lost", "of the loss"], leftColumns: [0, 1, 2, 3])
    for entry in content.entries(manifest) {
      let info = ArchiveInspection.info(entry, shared)
      let fullRank = entry.fullRank(info.shape).map { " of \($0)" } ?? ""
      table.add([
        entry.name, "\(info.shape)", entry.factor.kind.rawValue, entry.factor.form?.dtype?.rawValue ?? info.dtype,
        entry.factor.form?.rank.map { "\($0)\(fullRank)" } ?? "", String(entry.rawBytes),
        entry.measures?.error.value.percent ?? "", entry.shareOfLoss(loss)?.percentOfAll ?? "",
      ])
    }
    let unchanged =
      shared.tensors.count - manifest.absent.count
      - manifest.tensors.count { shared.holds($0.name) }
    Console.result(
      "\n\(archive.experts[position].name): \(unchanged) tensors unchanged, \(manifest.absent.count) absent")
    Console.result(table)
    if let place = GreatestLoss(manifest, shared)?.text { Console.result("most is lost in \(place)") }
  }
}

extension TensorOrder: ExpressibleByArgument {}
extension TensorGrouping: ExpressibleByArgument {}
