import ArgumentParser
import TMPack
import TMPackFactorization
import TMPackJSON
import TMPackReading

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Print versions, processor features, the BLAS in use, memory and disk.",
    discussion: """
      Example:
        tmpack doctor --json
      """)

  @Option(help: ArgumentHelp("Report the free disk of this folder.", valueName: "path"))
  var folder = "."

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let facts = try Diagnostics(folder: folder)
    if reporting.json {
      return Console.result([
        "version": .string(TMPackVersion.number), "format": .string(facts.format), "zstd": .string(facts.zstd),
        "blas": .string(facts.blas), "blas_core": .string(facts.blasCore),
        "cpu_features": .array(facts.cpuFeatures.map { .string($0) }),
        "cores": JSONValue(facts.cores), "memory_bytes": JSONValue(facts.memoryBytes),
        "free_disk_bytes": JSONValue(facts.freeDiskBytes),
      ])
    }
    for (name, value) in [
      ("tmpack", "\(TMPackVersion.number), archive format \(facts.format)"), ("zstd", facts.zstd), ("blas", facts.blas),
      ("blas core", facts.blasCore), ("cpu", facts.cpuFeatures.joined(separator: " ")), ("cores", String(facts.cores)),
      ("memory", ByteSize.text(facts.memoryBytes)), ("free disk", "\(ByteSize.text(facts.freeDiskBytes)) at \(folder)"),
    ] {
      Console.result("\(name.rightPadded(to: 10)) \(value)")
    }
  }
}
