import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackReading

struct RepairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Mend a damaged archive with bytes that other archives have, too.",
    discussion: """
      Examples:
        tmpack repair damaged.tmpack --from backup.tmpack -o zoo.tmpack
        tmpack repair damaged.tmpack --drop-damaged -o rest.tmpack

      Bytes are taken from a copy of the archive, damaged elsewhere or not, from an earlier state of it, or from another archive \
      with the same shared model or expert. What is mended is what it was, to the byte. Nothing is written unless all of it is sound.
      """)

  @Argument(help: ArgumentHelp("The damaged archive.", valueName: "archive"))
  var archive: String

  @Option(help: ArgumentHelp("Take bytes from this file. May be repeated.", valueName: "path"))
  var from: [String] = []

  @Flag(help: "Leave out experts, and the router, that cannot be mended.")
  var dropDamaged = false

  @Option(name: .shortAndLong, help: ArgumentHelp("The archive to write.", valueName: "path"))
  var output: OutputPath

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    try FileTree.check(output.path, replacesNoneOf: [archive] + from)
    let donors = try from.map { try ReadableFile($0, mode: work.io) }
    let outcome = try reporting.withProgress { show in
      try Repair(archive, from: donors, pipeline: work.pipeline)
        .run(to: output.path, replacing: force, droppingDamaged: dropDamaged, progress: show)
    }
    let (mended, restorations) = (outcome.archive, outcome.restorations)
    if reporting.json {
      return Console.result([
        "archive": .string(output.path), "root_digest": .string(mended.rootDigest.hexadecimal),
        "experts": .array(mended.experts.map { .string($0.name) }),
        "restored": .array(
          restorations.map {
            [
              "offset": JSONValue($0.extent.offset), "bytes": JSONValue($0.extent.storedSize),
              "from": .string($0.donor),
            ]
          }),
        "dropped_experts": .array(outcome.droppedExperts.map { .string($0) }),
        "dropped_router": .bool(outcome.droppedRouter), "dropped_bytes": JSONValue(outcome.droppedBytes),
      ])
    }
    for donor in from {
      let own = restorations.filter { $0.donor == donor }
      guard !own.isEmpty else {
        Console.talk("note: \(donor) has nothing that was missing")
        continue
      }
      let size = ByteSize.text(own.reduce(0) { $0 + UInt64($1.extent.storedSize) })
      Console.talk("mended \(counted(own.count, "extent")), \(size), with \(donor)")
    }
    for name in outcome.droppedExperts { Console.talk("left out: \(name)") }
    if outcome.droppedRouter { Console.talk("left out: the router") }
    if outcome.droppedBytes > 0 {
      Console.talk(
        "left out: \(counted(Int(outcome.droppedBytes), "byte")) behind the end of the archive, as after an interrupted add"
      )
    }
    Console.result("\(output.path): sound, \(counted(mended.experts.count, "expert")), root \(mended.rootDigest)")
  }
}
