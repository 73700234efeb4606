import ArgumentParser
import TMPack
import TMPackByteIO
import TMPackFactorization
import TMPackJSON
import TMPackReading

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Print versions, processor features, the BLAS in use, memory and disk; clean up after killed runs.",
    discussion: """
      Examples:
        tmpack doctor --json
        tmpack doctor --folder models/ --clean

      What runs that were killed have left in the folder is listed, and removed with --clean. A folder that was to be replaced \
      when the run was killed gets its name back.
      """)

  @Option(help: ArgumentHelp("Report the free disk of this folder, and what is left in it.", valueName: "path"))
  var folder = "."

  @Flag(help: "Remove what killed runs have left in the folder.")
  var clean = false

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let facts = try Diagnostics(folder: folder)
    let leftovers = try Leftover.list(in: folder).map { leftover throws(StorageError) in
      (leftover, clean ? try leftover.resolve() : .kept)
    }
    if reporting.json {
      return Console.result([
        "version": .string(TMPackVersion.number), "format": .string(facts.format), "zstd": .string(facts.zstd),
        "blas": .string(facts.blas), "blas_core": .string(facts.blasCore),
        "cpu_features": .array(facts.cpuFeatures.map { .string($0) }),
        "cores": JSONValue(facts.cores), "memory_bytes": JSONValue(facts.memoryBytes),
        "free_disk_bytes": JSONValue(facts.freeDiskBytes),
        "leftovers": .array(
          leftovers.map { leftover, resolution in
            [
              "path": .string(leftover.path), "output": .string(leftover.output),
              "state": .string(leftover.state.rawValue), "bytes": JSONValue(leftover.bytes),
              "age_seconds": JSONValue(leftover.age),
              "resolution": .string(resolution.rawValue),
            ]
          }),
      ])
    }
    for (name, value) in [
      ("tmpack", "\(TMPackVersion.number), archive format \(facts.format)"), ("zstd", facts.zstd), ("blas", facts.blas),
      ("blas core", facts.blasCore), ("cpu", facts.cpuFeatures.joined(separator: " ")), ("cores", String(facts.cores)),
      ("memory", ByteSize.text(facts.memoryBytes)), ("free disk", "\(ByteSize.text(facts.freeDiskBytes)) at \(folder)"),
    ] {
      Console.result("\(name.rightPadded(to: 10)) \(value)")
    }
    for (leftover, resolution) in leftovers {
      let what =
        switch (leftover.state, resolution) {
        case (_, .removed): "removed"
        case (_, .restored): "is \(leftover.output) again"
        case (.live, _): "a run is at work on it"
        case (.abandoned, _): "left by a killed run; --clean removes it"
        case (.unknown, _): "perhaps another machine is at work on it; ask again in a day"
        }
      Console.result("left over  \(leftover.path), \(ByteSize.text(leftover.bytes)): \(what)")
    }
  }
}
