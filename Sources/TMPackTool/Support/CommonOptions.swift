import ArgumentParser
import TMPack

extension InputMode: ExpressibleByArgument {}
extension FloatFormat: ExpressibleByArgument {
  public init?(argument: String) {
    guard let format = DType(rawValue: argument.uppercased())?.floatFormat else { return nil }
    self = format
  }
}

/// What every command takes.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the result as JSON.")
  var json = false

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  func withProgress<Result>(_ body: (@escaping (Progress) -> Void) throws -> Result) rethrows -> Result {
    let display = ProgressDisplay(isQuiet: quiet)
    defer { display.finish() }
    return try body { display.show($0) }
  }
}

/// What every command that reads tensors takes.
struct WorkOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Threads that work at once (default: one a core).", valueName: "n"))
  var threads: Int?

  @Option(help: ArgumentHelp("How files are read: automatic, mmap or read.", valueName: "mode"))
  var io: InputMode = .automatic

  func validate() throws {
    guard threads.map({ $0 >= 1 }) ?? true else { throw ValidationError("--threads must be at least 1.") }
  }

  var pipeline: OrderedPipeline { threads.map { OrderedPipeline(threads: $0) } ?? .automatic }
}

/// `NAME=PATH`, or a path whose last component gives the name.
struct NamedPath: ExpressibleByArgument {
  let name: String
  let path: String

  init?(argument: String) {
    if let equals = argument.firstIndex(of: "=") {
      name = String(argument[..<equals])
      path = String(argument[argument.index(after: equals)...])
    } else {
      path = argument
      let last = FileTree.lastComponent(argument)
      name = last.lastIndex(of: ".").map { String(last[..<$0]) } ?? last
    }
    if name.isEmpty || path.isEmpty { return nil }
  }
}
