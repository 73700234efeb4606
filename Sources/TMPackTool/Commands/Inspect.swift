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

  @Argument(help: ArgumentHelp("The archive, or a checkpoint.", valueName: "archive"))
  var archive: String

  @Flag(help: "List every tensor.")
  var tensors = false

  @Option(help: ArgumentHelp("List only the tensors of this expert.", valueName: "name"))
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
    let inspection = Inspection(
      archive: opened, positions: positions, listsTensors: tensors || expert != nil, order: sort, limit: top ?? .max)
    if reporting.json {
      Console.result(try inspection.json())
    } else {
      for text in try inspection.texts() { Console.result(text) }
    }
  }
}

/// The presentation of an archive's content.
struct Inspection {
  let archive: Archive
  let positions: [Int]
  let listsTensors: Bool
  var order: TensorOrder?
  var limit = Int.max

  /// The tensors of an expert to be listed.
  private func entries(_ manifest: ExpertManifest) -> some Sequence<ExpertEntry> {
    let entries = manifest.tensors
    let sorted =
      switch order {
      case nil: entries
      case .error: entries.sorted { ($0.measures?.error.value ?? 0) > ($1.measures?.error.value ?? 0) }
      case .bytes: entries.sorted { $0.rawBytes > $1.rawBytes }
      }
    return sorted.prefix(limit)
  }

  // MARK: For people

  func texts() throws -> [String] {
    let manifest = try archive.sharedManifest()
    let parameters = manifest.tensors.reduce(0) { $0 + $1.info.shape.elementCount }
    let settings = archive.method.parameters.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(
      separator: ", ")
    let storage = archive.isDetached ? "detached" : "embedded, \(ByteSize.text(try sharedBytes()))"
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
    if listsTensors { for position in positions { texts += try tensorTexts(position, manifest) } }
    return texts
  }

  private func tensorTexts(_ position: Int, _ shared: SharedManifest) throws -> [String] {
    let manifest = try archive.file.expertSection(position).manifest
    var table = TextTable(
      ["tensor", "shape", "factor", "dtype", "rank", "raw bytes", "error"], leftColumns: [0, 1, 2, 3])
    for entry in entries(manifest) {
      let info = Self.info(entry, shared)
      table.add([
        entry.name, "\(info.shape)", entry.factor.kind.rawValue, entry.factor.dtypeName ?? info.dtype,
        entry.factor.rank.map(String.init) ?? "",
        String(entry.factor.payloads.reduce(0) { $0 + $1.size }), entry.measures?.error.value.significant(3) ?? "",
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

  private static func info(_ entry: ExpertEntry, _ shared: SharedManifest) -> (dtype: String, shape: [Int]) {
    if case .replaced(let dtype, let shape, _) = entry.factor { return (dtype.rawValue, shape.dimensions) }
    guard let info = shared.entry(named: entry.name)?.info else {
      preconditionFailure("the manifest was checked (TMP-6-7)")
    }
    return (info.dtype.rawValue, info.shape.dimensions)
  }

  /// Stored bytes of the shared model's section and frames, each extent once.
  private func sharedBytes() throws -> UInt64 {
    try archive.file.sharedSection().frameBytes + UInt64(archive.file.index.shared.extent.storedSize)
  }

  // MARK: For machines

  /// Documented in Spec/json.md; members are only ever added.
  func json() throws -> JSONValue {
    let manifest = try archive.sharedManifest()
    var shared: JSONObject = [
      "method": .string(archive.method.name.rawValue),
      "parameters": JSONValue(archive.method.parameters),
      "storage": .string(archive.isDetached ? "detached" : "embedded"), "bytes": JSONValue(try sharedBytes()),
      "tensors": JSONValue(manifest.tensors.count),
      "files": .array(manifest.files.map { .string($0.name.text) }), "provenance": manifest.provenance.reportJSON,
    ]
    if listsTensors {
      shared["tensor_list"] = .array(
        manifest.tensors.map {
          [
            "name": .string($0.info.name), "dtype": .string($0.info.dtype.rawValue),
            "shape": .array($0.info.shape.dimensions.map { JSONValue($0) }), "digest": .string($0.digest.hexadecimal),
          ]
        })
    }
    var object: JSONObject = [
      "archive": .string(archive.path), "bytes": JSONValue(archive.size),
      "format": .string("\(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion)"),
      "generation": JSONValue(archive.file.slot.generation), "root_digest": .string(archive.rootDigest.hexadecimal),
      "shared": .object(shared), "experts": .array(try positions.map { try expertJSON($0, manifest) }),
    ]
    if let router = try archive.routerManifest(), case .object(var own) = router.reportJSON {
      own["provenance"] = router.provenance.reportJSON
      object["router"] = .object(own)
    }
    return .object(object)
  }

  private func expertJSON(_ position: Int, _ shared: SharedManifest) throws -> JSONValue {
    guard case .object(var object) = archive.experts[position].summaryJSON else { return .null }
    guard listsTensors else { return .object(object) }
    let manifest = try archive.file.expertSection(position).manifest
    object["files"] = .array(manifest.files.map { .string($0.name.text) })
    object["provenance"] = manifest.provenance.reportJSON
    object["absent"] = .array(manifest.absent.map { .string($0) })
    object["tensor_list"] = .array(
      entries(manifest).map { entry in
        let info = Self.info(entry, shared)
        var item: JSONObject = [
          "name": .string(entry.name), "factor": .string(entry.factor.kind.rawValue), "dtype": .string(info.dtype),
          "shape": .array(info.shape.map { JSONValue($0) }),
          "raw_bytes": JSONValue(entry.factor.payloads.reduce(0) { $0 + $1.size }),
          "source_digest": .string(entry.source.hexadecimal),
        ]
        item["factor_dtype"] = entry.factor.dtypeName.map { .string($0) }
        item["rank"] = entry.factor.rank.map { JSONValue($0) }
        item["correction"] = entry.measures.map { _ in .bool(entry.correction != nil) }
        item["norm"] = entry.measures.map { .number($0.norm.value) }
        item["error"] = entry.measures.map { .number($0.error.value) }
        return .object(item)
      })
    return .object(object)
  }
}

enum TensorOrder: String, ExpressibleByArgument, CaseIterable {
  case error, bytes
}

extension ExpertEntry {
  fileprivate var rawBytes: Int { factor.payloads.reduce(0) { $0 + $1.size } }
}

extension StoredFactor {
  fileprivate var dtypeName: String? {
    switch self {
    case .lowRank(_, let dtype, _, _, _), .sparse(_, let dtype, _, _, _), .dense(let dtype, _, _): dtype.rawValue
    case .quantizedLowRank, .quantized, .quantizedLayered, .masked, .dropped, .difference, .replaced: nil
    }
  }
}

extension Provenance {
  fileprivate var reportJSON: JSONValue {
    [
      "tool": .string(tool),
      "options": JSONValue(options),
      "sources": .array(
        sources.map {
          ["name": .string($0.name), "bytes": JSONValue($0.size), "sha256": .string($0.digest.hexadecimal)]
        }),
    ]
  }
}
