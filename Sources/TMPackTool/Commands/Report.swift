import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackReading

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Show an archive as a page of pictures and tables.",
    discussion: """
      Examples:
        tmpack report zoo.tmpack -o report.html
        tmpack report zoo.tmpack --quick -o report.html
        tmpack report zoo.tmpack --embedding test.safetensors -o report.html

      The page is one file that needs nothing else, and no network. It shows sizes, what is lost by layer and kind of \
      tensor, how large the changes are and how alike, and every tensor in a table that can be sorted and filtered.

      See compare --html for two checkpoints.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The page to make.", valueName: "path"))
  var output: OutputPath

  @Flag(help: "Replace the page if it exists.")
  var force = false

  @Flag(help: "Show only what the archive says of itself, without reading its numbers.")
  var quick = false

  @Option(
    help: ArgumentHelp(
      "Labelled embeddings, as route takes them: shows which experts the router takes for which.", valueName: "path"),
    completion: .file())
  var embedding: String?

  @OptionGroup var detached: DetachedOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let opened = try detached.model.open(archive, work.io, isRequired: !quick)
    try FileTree.check(output.path, replacesNoneOf: [archive] + [detached.sharedFrom, embedding].compactMap { $0 })
    try output.checkFile(replacing: force)
    let confusion = try embedding.map { path in
      let (router, inputs) = (try Router(opened), try Embeddings(contentsOf: path, mode: work.io))
      return try located(file: path) { () throws(StorageError) in try RouterConfusion(router, inputs) }
    }
    let measures =
      quick ? nil : try reporting.withProgress { try ArchiveMeasures(opened, pipeline: work.pipeline, progress: $0) }
    try ArchiveReport(archive: opened, measures: measures, confusion: confusion).page().write(
      to: output, replacing: force, reporting)
  }
}

extension ReportPage {
  /// Writes the page, and says so.
  func write(to output: OutputPath, replacing: Bool, _ reporting: OutputOptions) throws(StorageError) {
    let bytes = Array(html.utf8)
    let file = try AtomicFile(output.path, replacing: replacing)
    try file.write(bytes)
    try file.commit()
    if reporting.json {
      Console.result(["output": .string(output.path), "bytes": JSONValue(bytes.count)])
    } else {
      Console.result("\(output.path): \(ByteSize.text(UInt64(bytes.count)))")
    }
  }
}
