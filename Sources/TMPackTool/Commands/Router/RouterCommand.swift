import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackReading

/// `tmpack router …`
struct RouterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "router",
    abstract: "Fit, import or remove an archive's router.",
    discussion: """
      Examples:
        tmpack router fit zoo.tmpack --embeddings train.safetensors
        tmpack router import zoo.tmpack router.pt --classes math,code
        tmpack router remove zoo.tmpack

      A router looks at an input's embedding, made with the shared model, and gives \
      each expert a weight: see route.
      """,
    subcommands: [RouterFit.self, RouterImporting.self, RouterRemoval.self])
}

/// What `router fit` and `router import` say at the end.
struct RouterReport {
  /// With the router in it.
  let archive: Archive
  let bytesBefore: UInt64
  let router: RouterManifest
  let notes: [String]

  func print(_ options: OutputOptions) {
    let bytes = archive.size
    if options.json {
      return Console.result([
        "archive": .string(archive.path), "bytes": JSONValue(bytes), "bytes_before": JSONValue(bytesBefore),
        "router": .object(router.reportJSON), "notes": .array(notes.map { .string($0) }),
      ])
    }
    for note in notes { Console.talk("note: \(note)") }
    Console.result("router  \(router.summary)")
    if let settings = router.settings { Console.result("        \(settings)") }
    Console.result("\(archive.path): \(ByteSize.text(bytes)), was \(ByteSize.text(bytesBefore))")
  }
}

extension RouterManifest {
  /// On one line: `mlp 256 → 256 → 128 → 4, F16, accuracy 88.6 % of 1600`.
  var summary: String {
    var facts: [String]
    switch model {
    case .layers(let layers, _, let dtype):
      let widths = ([dimension] + layers.map(\.outputs)).map(String.init).joined(separator: " → ")
      facts = ["\(kindName) \(widths)", dtype.rawValue]
    case .neighbours(let own):
      facts = [
        "\(kindName) \(dimension) → \(classes.count), \(own.count) neighbours of \(own.examples)", own.dtype.rawValue,
      ]
    }
    if let accuracy = measures.accuracy {
      let count = measures.validation.map { " of \(counted($0, "validation input"))" } ?? ""
      facts.append("accuracy \(accuracy.value.percent)\(count)")
    }
    return facts.joined(separator: ", ")
  }

  /// What it stores of how it is to be used.
  var settings: String? {
    let facts = [
      temperature.map { "temperature \($0.value.significant(3))" },
      fallbackEntropy.map { "the shared model above entropy \($0.value.significant(3))" },
    ].compactMap { $0 }
    return facts.isEmpty ? nil : facts.joined(separator: ", ")
  }
}

/// Names between commas.
struct NameList: ExpressibleByArgument {
  let names: [String]

  init?(argument: String) {
    names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    if names.contains(where: \.isEmpty) { return nil }
  }
}

extension Embeddings {
  /// For provenance.
  static func record(of path: String, _ io: InputMode) throws(StorageError) -> SourceRecord {
    let file = try ReadableFile(path, mode: io)
    let digest = try file.withBytes(at: 0, count: Int(file.size)) { ContentDigest(of: $0) }
    return SourceRecord(name: FileTree.lastComponent(path), size: file.size, digest: digest)
  }
}
