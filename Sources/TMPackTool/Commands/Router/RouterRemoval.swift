import ArgumentParser
import TMPack

struct RouterRemoval: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove the router from an archive.",
    discussion: """
      Example:
        tmpack router remove zoo.tmpack

      The archive is written anew beside the old one, without decoding anything, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"))
  var archive: String

  @Option(name: .shortAndLong, help: ArgumentHelp("Write another archive instead.", valueName: "path"))
  var output: OutputPath?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let opened = try Archive.opened(archive)
    guard opened.hasRouter else { throw StorageError(.invalidArgument, "has no router", file: archive) }
    let before = opened.size
    let target = output?.path ?? archive
    let size = try opened.write(without: [], droppingRouter: true, to: target, replacing: output == nil || force)
    if reporting.json {
      Console.result(["archive": .string(target), "bytes": JSONValue(size), "bytes_before": JSONValue(before)])
    } else {
      Console.result("\(target): \(ByteSize.text(size)), was \(ByteSize.text(before))")
    }
  }
}
