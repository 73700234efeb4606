import ArgumentParser
import TMPack

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Remove experts from an archive, or only the space that additions have left unused.",
    discussion: """
      Examples:
        tmpack remove zoo.tmpack math
        tmpack remove zoo.tmpack math -o smaller.tmpack

      The archive is written anew beside the old one, without decoding anything, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Argument(help: ArgumentHelp("The experts to remove; none only compacts the archive.", valueName: "name"))
  var names: [String] = []

  @Flag(help: "Remove the router, too: it is bound to the experts that it has classes for.")
  var dropRouter = false

  @Option(name: .shortAndLong, help: ArgumentHelp("Write another archive instead.", valueName: "path"))
  var output: OutputPath?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let opened = try Archive.opened(archive)
    let before = opened.size
    let target = output?.path ?? archive
    let size = try opened.write(
      without: names, droppingRouter: dropRouter, to: target, replacing: output == nil || force)
    if reporting.json {
      Console.result(["archive": .string(target), "bytes": JSONValue(size), "bytes_before": JSONValue(before)])
    } else {
      Console.result("\(target): \(ByteSize.text(size)), was \(ByteSize.text(before))")
    }
  }
}
