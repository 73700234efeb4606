import TMPackArchiveFormat
import TMPackByteIO
import TMPackJSON
import TMPackReading

/// An archive as a page of pictures and tables.
struct ArchiveReport {
  let archive: Archive
  /// nil where only what the archive says of itself is shown.
  let measures: ArchiveMeasures?
  /// Of labelled inputs that were given.
  var confusion: RouterConfusion?

  private static let spectraOfAnExpert = 6
  private static let mostKinds = 24

  func page() throws(StorageError) -> ReportPage {
    let manifest = try archive.sharedManifest()
    var manifests: [ExpertManifest] = []
    for position in archive.experts.indices { manifests.append(try archive.file.expertSection(position).manifest) }
    let inspection = ArchiveInspection(archive)
    var page = ReportPage(FileTree.lastComponent(archive.path))
    page.add("What it is", facts(manifest))
    page.add("Sizes", try sizes(inspection, manifests))
    page.add("Experts", experts(manifest, manifests))
    page.add("Scores against bytes", scores(manifests))
    for (expert, entries) in zip(archive.experts.indices, manifests) {
      page.add("\(archive.experts[expert].name): by layer and kind", maps(expert, entries))
    }
    page.add("How alike the experts are", similarity())
    page.add("Components of the largest differences", spectra(manifests))
    page.add("Router", try router())
    page.addTable(
      "Tensors", ["expert", "tensor", "shape", "factor", "rank", "payload bytes", "lost", "change", "of the loss"],
      numeric: [4, 5, 6, 7, 8], rows(manifest, manifests))
    page.add("Where it comes from", provenance(manifest, manifests))
    return page
  }

  // MARK: Sections

  private func facts(_ manifest: SharedManifest) -> String {
    let parameters = manifest.infos.reduce(0) { $0 + $1.shape.elementCount }
    return ReportPage.table(
      ["", ""],
      [
        ["size", "\(ByteSize.text(archive.size)) (\(archive.size) bytes)"],
        [
          "shared model",
          "\(archive.method.name.rawValue), \(counted(manifest.tensors.count, "tensor")), \(parameters) parameters",
        ],
        ["kept", archive.isDetached ? "outside of the archive, bound by digests" : "in the archive"],
        [
          "format", "\(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion), generation \(archive.file.slot.generation)",
        ],
        ["root digest", "\(archive.rootDigest)"],
      ])
  }

  private func sizes(_ inspection: ArchiveInspection, _ manifests: [ExpertManifest]) throws(StorageError) -> String {
    let shared = try inspection.sharedBytes()
    let bars = [(name: archive.isDetached ? "shared (its table)" : "shared model", bytes: shared)]
    let all = BarChart(
      label: "Stored bytes of the shared model and of each expert",
      bars: bars + archive.experts.map { ($0.name, $0.summary.bytes) })
    var kinds: [String: UInt64] = [:]
    for manifest in manifests {
      for entry in manifest.tensors { kinds[TensorPlace(entry.name).kind, default: 0] += UInt64(entry.rawBytes) }
    }
    let largest = kinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.mostKinds)
    let byKind = BarChart(
      label: "Payload bytes of all experts by kind of tensor", bars: largest.map { ($0.key, $0.value) })
    return all.svg
      + "<h3>All experts, by kind of tensor</h3><p>Payloads before they are compressed in common frames.</p>"
      + byKind.svg
  }

  private func experts(_ shared: SharedManifest, _ manifests: [ExpertManifest]) -> String {
    let scores = zip(archive.experts, manifests).map { expert, manifest -> String? in
      guard let loss = expert.summary.error?.value else { return nil }
      if manifest.provenance.options[ScoreCurve.option] != nil { return "measured, see below" }
      return MeasuredScores(options: manifest.provenance.options)?.kept(at: loss)
    }
    let isMeasured = scores.contains { $0 != nil }
    let table = ReportPage.table(
      ["expert", "tensors", "stored", "share of the change that is lost"] + (isMeasured ? ["scores kept"] : [])
        + ["where most is lost"],
      archive.experts.indices.map { position in
        let (expert, summary) = (archive.experts[position], archive.experts[position].summary)
        return [
          expert.name, String(summary.tensors), ByteSize.text(summary.bytes), summary.error?.value.percent ?? "nothing",
        ] + (isMeasured ? [scores[position] ?? ""] : []) + [GreatestLoss(manifests[position], shared)?.text ?? ""]
      })
    guard isMeasured else { return table }
    return table
      + "<p>Scores kept are those of others that lost as much, \(MeasuredScores.origin.html): fine-tunes of a transformer of 3.2 M parameters. They are no measurement of these experts; <code>pack --eval</code> makes one.</p>"
  }

  private func scores(_ manifests: [ExpertManifest]) -> String {
    let charts = zip(archive.experts, manifests).map { expert, manifest -> String in
      guard let curve = manifest.provenance.options[ScoreCurve.option].flatMap({ ScoreCurve($0) }) else { return "" }
      return "<h3>\(expert.name.html), own score \(curve.own.significant(4))</h3>"
        + ScoreChart(name: expert.name, curve: curve).svg
    }.joined()
    return charts.isEmpty ? "" : "<p>As --eval has measured them when this was packed.</p>" + charts
  }

  private func maps(_ position: Int, _ manifest: ExpertManifest) -> String {
    let lost = HeatMap(
      label: "Share of the change that is lost, by kind of tensor and layer", maximum: 1,
      items: manifest.tensors.compactMap { entry in
        entry.measures.map { measures in
          let norm = measures.norm.value
          return (entry.name, (norm * measures.error.value) * (norm * measures.error.value), norm * norm)
        }
      })
    var text = ""
    if let lost { text += "<h3>Share of the change that is lost</h3>" + lost.svg }
    guard let measures else { return text }
    let changes = HeatMap(
      label: "Size of the change against the shared tensor, by kind of tensor and layer", maximum: nil,
      items: measures.tensors.map { ($0.name, $0.squares(of: position, measures.experts), $0.sharedSquares) })
    if let changes {
      text += "<h3>Size of the change, as a share of the shared tensor's norm</h3>" + changes.svg
    }
    return text
  }

  private func similarity() -> String {
    guard let measures, archive.experts.count > 1 else { return "" }
    let count = measures.experts
    var sums = [Double](repeating: 0, count: count * count)
    for tensor in measures.tensors { for index in sums.indices { sums[index] += tensor.products[index] } }
    let names = archive.experts.map(\.name)
    let cells = (0..<count).map { a in
      (0..<count).map { b -> HeatMap.Cell? in
        let norms = (sums[a * count + a] * sums[b * count + b]).squareRoot()
        guard norms > 0 else { return nil }
        let cosine = sums[a * count + b] / norms
        return HeatMap.Cell(value: cosine, title: "\(names[a]) and \(names[b]): cosine \(cosine.fixed(3))")
      }
    }
    var text =
      "<p>Cosines of the experts' differences from the shared model: 1 for the same direction, 0 for none in common.</p>"
    text += HeatMap(label: "Cosines of the experts' differences", maximum: 1, names: names, cells: cells).svg
    if let first = measures.leftOut.first {
      text +=
        "<p>Without \(counted(measures.leftOut.count, "tensor")) too large to be compared here, such as <code>\(first.html)</code>.</p>"
    }
    return text
  }

  private func spectra(_ manifests: [ExpertManifest]) -> String {
    guard let measures else { return "" }
    return archive.experts.indices.map { position in
      let largest = measures.tensors.filter { $0.components[position].count > 1 }
        .sorted { $0.squares(of: position, measures.experts) > $1.squares(of: position, measures.experts) }
        .prefix(Self.spectraOfAnExpert)
      guard !largest.isEmpty else { return "" }
      let name = archive.experts[position].name
      let chart = Spectra(
        label: "Sizes of the components of the largest differences of \(name)",
        lines: largest.map { ("\($0.name), rank \($0.components[position].count)", $0.components[position]) })
      return "<h3>\(name.html)</h3>" + chart.svg
    }.joined()
  }

  private func router() throws(StorageError) -> String {
    guard let router = try archive.routerManifest() else { return "" }
    var rows = [["kind", router.summary], ["classes", router.classes.joined(separator: ", ")]]
    if let settings = router.settings { rows.append(["settings", settings]) }
    if let accuracy = router.measures.accuracy { rows.append(["accuracy", accuracy.value.percent]) }
    return ReportPage.table(["", ""], rows) + (confusion?.html ?? "")
  }

  private func rows(_ shared: SharedManifest, _ manifests: [ExpertManifest]) -> [[JSONValue]] {
    var places: [String: Int] = [:]
    for (index, tensor) in (measures?.tensors ?? []).enumerated() { places[tensor.name] = index }
    return zip(archive.experts.indices, manifests).flatMap { position, manifest in
      let loss = manifest.lostEnergy
      return manifest.tensors.map { entry in
        let info = ArchiveInspection.info(entry, shared)
        var change = JSONValue.null
        if let measures, let place = places[entry.name] {
          let tensor = measures.tensors[place]
          let value = (tensor.squares(of: position, measures.experts) / tensor.sharedSquares).squareRoot()
          if value.isFinite { change = .number(value) }
        }
        return [
          .string(archive.experts[position].name), .string(entry.name),
          .string(info.shape.map(String.init).joined(separator: " × ")), .string(entry.factor.kind.rawValue),
          entry.factor.form?.rank.map { JSONValue($0) } ?? .null, JSONValue(entry.rawBytes),
          entry.measures.map { .number($0.error.value) } ?? .null, change,
          entry.shareOfLoss(loss).map { .number($0) } ?? .null,
        ]
      }
    }
  }

  private func provenance(_ shared: SharedManifest, _ manifests: [ExpertManifest]) -> String {
    let all = [("shared model", shared.provenance)] + zip(archive.experts.map(\.name), manifests.map(\.provenance))
    return all.map { name, provenance in
      let options = provenance.options.filter { $0.key != ScoreCurve.option }.sorted { $0.key < $1.key }.map {
        "\($0.key) \($0.value)"
      }.joined(
        separator: ", ")
      let table = ReportPage.table(
        ["file", "bytes", "SHA-256"], provenance.sources.map { [$0.name, String($0.size), $0.digest.hexadecimal] })
      return "<h3>\(name.html)</h3><p>\(provenance.tool.html)\(options.isEmpty ? "" : ": \(options.html)")</p>"
        + (provenance.sources.isEmpty ? "" : table)
    }.joined()
  }
}

extension ArchiveMeasures.Tensor {
  /// ‖v‖² of an expert.
  fileprivate func squares(of expert: Int, _ experts: Int) -> Double { products[expert * experts + expert] }
}
