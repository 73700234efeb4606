import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackReading

/// For commands that write an archive anew: in its own place, or elsewhere.
struct RewritingOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: ArgumentHelp("Write another archive instead.", valueName: "path"))
  var output: OutputPath?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  /// Has the archive written, and says what became of its size.
  func rewrite(
    _ archive: Archive, _ write: (_ path: String, _ replacing: Bool) throws(StorageError) -> UInt64
  ) throws(StorageError) {
    let (before, target) = (archive.size, output?.path ?? archive.path)
    let size = try write(target, output == nil || force)
    if reporting.json {
      Console.result(["archive": .string(target), "bytes": JSONValue(size), "bytes_before": JSONValue(before)])
    } else {
      Console.result("\(target): \(ByteSize.text(size)), was \(ByteSize.text(before))")
    }
  }
}
