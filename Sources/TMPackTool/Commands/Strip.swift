import ArgumentParser
import TMPackByteIO
import TMPackReading

struct Strip: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "strip",
    abstract: "Drop parts of an archive that can be done without.",
    discussion: """
      Example:
        tmpack strip zoo.tmpack --exact -o small.tmpack

      The archive is written anew beside the old one, without packing anything again, and then takes its place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Flag(help: "Drop what makes lossy experts bit-exact.")
  var exact = false

  @OptionGroup var rewriting: RewritingOptions

  func validate() throws {
    if !exact { throw ValidationError("Say what to drop: --exact.") }
  }

  func run() throws {
    let opened = try Archive.opened(archive, rewriting.reading.io)
    if opened.experts.allSatisfy({ $0.summary.correctionBytes == nil }) {
      Console.talk("note: no expert has what makes it bit-exact apart from its factors")
    }
    try rewriting.rewrite(opened) { path, replacing throws(StorageError) in
      try opened.write(without: [], droppingCorrections: true, to: path, replacing: replacing)
    }
  }
}
