import TMPackByteIO
import TMPackJSON

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Results go to standard output, everything else to standard error.
enum Console {
  static let standardErrorIsTerminal = isatty(STDERR_FILENO) == 1

  /// Occupies closed standard descriptors, so that no file gets their numbers and, with them, what is meant for people.
  ///
  /// Call once, before any file is opened. Writing to them fails still, as it should.
  static func occupyClosedDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest free number is this one.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Where results go.
  nonisolated(unsafe) private static var resultDescriptor = STDOUT_FILENO

  /// For a command that writes a model to standard output: results go to standard error. Call before there are threads.
  static func keepOutputForData() { resultDescriptor = STDERR_FILENO }

  static func result(_ text: String) { write(text.printable + "\n", to: resultDescriptor) }

  static func result(_ table: TextTable) {
    let lines = table.lines
    let styled =
      [
        TerminalStyle.heading.applied(to: lines[0], on: resultDescriptor),
        TerminalStyle.faint.applied(to: lines[1], on: resultDescriptor),
      ] + lines[2...]
    write(styled.joined(separator: "\n") + "\n", to: resultDescriptor)
  }

  static func result(_ json: JSONValue) { write(json.prettyText.printableJSON + "\n", to: resultDescriptor) }

  /// Whether the last line is being drawn, and has no end yet.
  nonisolated(unsafe) static var isDrawing = false

  static func talk(_ text: String) {
    write(TerminalStyle.message(text.printable, on: STDERR_FILENO) + "\n", to: STDERR_FILENO)
  }

  /// Without a line feed: for a line that is drawn again.
  static func draw(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Of a run whose output is there, though something failed afterwards.
  static let doneButCode: Int32 = 6

  /// - Parameter exit: what the process will end with; nil for the error's own code.
  static func report(_ error: StorageError, asJSON: Bool, exit: Int32? = nil) {
    let error = error.worded
    if asJSON {
      write(JSONValue.object(["error": error.json(exit: exit)]).compactText.printableJSON + "\n", to: STDERR_FILENO)
    } else {
      talk("tmpack: \(error)")
    }
  }

  static func exit(_ code: Int32) -> Never {
    #if canImport(Darwin)
      Darwin.exit(code)
    #elseif canImport(Glibc)
      Glibc.exit(code)
    #elseif canImport(Musl)
      Musl.exit(code)
    #endif
  }

  private static func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { raw in
        #if canImport(Darwin)
          Darwin.write(descriptor, raw.baseAddress, raw.count)
        #elseif canImport(Glibc)
          Glibc.write(descriptor, raw.baseAddress, raw.count)
        #elseif canImport(Musl)
          Musl.write(descriptor, raw.baseAddress, raw.count)
        #endif
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        // A result that could not be written must not look like success. Whoever has closed a pipe knows it.
        guard descriptor == STDOUT_FILENO else { return }
        let reason = errno == EPIPE ? nil : "standard output: cannot write: \(String(cString: strerror(errno)))"
        if let output = CommitNotes.output {
          talk("tmpack: \(output): was written, but \(reason ?? "nobody reads the result")")
          exit(doneButCode)
        }
        if let reason { talk("tmpack: \(reason)") }
        exit(StorageError.Family.inputOutput.exitCode)
      }
      bytes = bytes.dropFirst(count)
    }
  }
}

extension StorageError {
  /// For machines: `code` is stable, `exit` the process's exit code; what is unknown is left out.
  var json: JSONValue { json() }

  /// - Parameter exit: nil for the code's own.
  func json(exit: Int32? = nil) -> JSONValue {
    var object = members
    object["exit"] = JSONValue(exit ?? code.family.exitCode)
    return .object(object)
  }
}
