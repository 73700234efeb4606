import ArgumentParser
import TMPackByteIO
import TMPackReading

struct RouterRemoval: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove the router from an archive.",
    discussion: """
      Example:
        tmpack router remove zoo.tmpack

      The archive is written anew beside the old one, without decoding anything, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @OptionGroup var rewriting: RewritingOptions

  func run() throws {
    let opened = try Archive.opened(archive, rewriting.reading.io)
    guard opened.hasRouter else { throw StorageError(.invalidArgument, "has no router", file: archive) }
    try rewriting.rewrite(opened) { path, replacing throws(StorageError) in
      try opened.write(without: [], droppingRouter: true, to: path, replacing: replacing)
    }
  }
}
