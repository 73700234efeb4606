import ArgumentParser
import TMPackByteIO
import TMPackReading

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove experts from an archive, or only the space that additions have left unused.",
    discussion: """
      Examples:
        tmpack remove zoo.tmpack math
        tmpack remove zoo.tmpack math -o smaller.tmpack

      The archive is written anew beside the old one, without decoding anything, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Argument(help: ArgumentHelp("The experts to remove; none only compacts the archive.", valueName: "name"))
  var names: [String] = []

  @Flag(help: "Remove the router, too: it is bound to the experts that it has classes for.")
  var dropRouter = false

  @OptionGroup var rewriting: RewritingOptions

  func run() throws {
    let opened = try Archive.opened(archive, rewriting.reading.io)
    try rewriting.rewrite(opened) { path, replacing throws(StorageError) in
      try opened.write(without: names, droppingRouter: dropRouter, to: path, replacing: replacing)
    }
  }
}
