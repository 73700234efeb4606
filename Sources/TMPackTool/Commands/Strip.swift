import ArgumentParser
import TMPack

struct Strip: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Drop parts of an archive that can be done without.",
    discussion: """
      Example:
        tmpack strip zoo.tmpack --exact -o small.tmpack

      The archive is written anew beside the old one, without packing anything again, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Flag(help: "Drop what makes lossy experts bit-exact.")
  var exact = false

  @Option(name: .shortAndLong, help: ArgumentHelp("Write another archive instead.", valueName: "path"))
  var output: String?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if !exact { throw ValidationError("Say what to drop: --exact.") }
  }

  func run() throws {
    let opened = try Archive.opened(archive)
    let before = opened.size
    let target = output ?? archive
    let size = try opened.write(
      without: [], droppingCorrections: true, to: target, replacing: output == nil || force)
    if reporting.json {
      Console.result(["archive": .string(target), "bytes": JSONValue(size), "bytes_before": JSONValue(before)])
    } else {
      Console.result("\(target): \(ByteSize.text(size)), was \(ByteSize.text(before))")
    }
  }
}
