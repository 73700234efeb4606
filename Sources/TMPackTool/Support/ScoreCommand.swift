import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A user's command that prints how good a checkpoint is.
struct ScoreCommand {
  static let placeholder = "{checkpoint}"
  private static let expertPlaceholder = "{expert}"
  /// What a command may print: its last word counts.
  private static let outputBytes = 16 << 20

  private let command: String

  init(_ command: String) { self.command = command }

  /// Runs the command by `sh -c`; its standard error is ours.
  ///
  /// - Parameter expert: the name of what is scored, if it has one.
  /// - Returns: the last word of what it printed.
  /// - Throws: `invalidArgument` when that is no finite number, or the command fails.
  func run(_ checkpoint: String, expert: String? = nil) throws(StorageError) -> Double {
    var line = command.replacing(Self.placeholder, with: Self.quoted(checkpoint))
    if let expert { line = line.replacing(Self.expertPlaceholder, with: Self.quoted(expert)) }
    let (status, output) = try Self.output(of: line)
    guard status == 0 else {
      throw StorageError(.invalidArgument, "the command of --eval has failed with exit code \(status): \(line)")
    }
    let words = output.split(whereSeparator: \.isWhitespace)
    guard let last = words.last, let score = Double(last), score.isFinite else {
      throw StorageError(
        .invalidArgument,
        "the command of --eval must print a number last; it printed '\(words.last.map(String.init) ?? "")': \(line)")
    }
    return score
  }

  /// For the shell: nothing in a path has a meaning to it.
  private static func quoted(_ path: String) -> String { "'" + path.replacing("'", with: #"'\''"#) + "'" }

  private static func output(of line: String) throws(StorageError) -> (status: Int32, text: String) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw StorageError(.inputOutput, "cannot make a pipe: \(reason)") }
    let process: pid_t
    do throws(StorageError) { process = try start(line, writingTo: ends) } catch {
      close(ends[0])
      close(ends[1])
      throw error
    }
    close(ends[1])
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(ends[0], &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += buffer[..<count]
      // Only the end counts.
      if bytes.count > Self.outputBytes { bytes.removeFirst(bytes.count - Self.outputBytes / 2) }
    }
    close(ends[0])
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    let signal = status & 0x7F
    return (signal == 0 ? status >> 8 & 0xFF : 128 + signal, String(decoding: bytes, as: UTF8.self))
  }

  private static func start(_ line: String, writingTo ends: [Int32]) throws(StorageError) -> pid_t {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
    #else
      var actions = posix_spawn_file_actions_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    let words = ["sh", "-c", line]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    #if canImport(Darwin)
      var attributes: posix_spawnattr_t?
    #else
      var attributes = posix_spawnattr_t()
    #endif
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Ctrl-C is for it, too.
    var mask = Interrupts.originalMask
    posix_spawnattr_setsigmask(&attributes, &mask)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var process = pid_t()
    let result = posix_spawn(&process, "/bin/sh", &actions, &attributes, &arguments, environ)
    guard result == 0 else {
      throw StorageError(.inputOutput, "cannot run a shell: \(String(cString: strerror(result)))")
    }
    return process
  }

  private static var reason: String { String(cString: strerror(errno)) }
}
