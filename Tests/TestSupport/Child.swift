import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What one run of a program did.
package struct Run {
  /// Its exit code; 128 and the signal's number for one that a signal has killed.
  package let code: Int32
  package let output: String
  /// What it wrote to standard error.
  package let talk: String
}

/// A running program.
package struct Child {
  package let process: pid_t
  private let logs: TemporaryFolder

  /// - Parameter program: a path, or a name to be looked for where programs are.
  package init(_ program: String, _ arguments: [String]) throws {
    logs = TemporaryFolder()
    var actions = FileActions()
    actions.open(STDOUT_FILENO, logs("out"))
    actions.open(STDERR_FILENO, logs("err"))
    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var process = pid_t()
    guard posix_spawnp(&process, program, &actions.value, nil, &argv, environ) == 0 else {
      throw StorageError(.notFound, "cannot run", file: program)
    }
    self.process = process
  }

  package func wait() throws -> Run {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    let signal = status & 0x7F
    return Run(
      code: signal == 0 ? status >> 8 & 0xFF : 128 + signal, output: try text(logs("out")), talk: try text(logs("err")))
  }

  private func text(_ path: String) throws -> String { String(decoding: try contents(path), as: UTF8.self) }
}

private struct FileActions: ~Copyable {
  #if canImport(Darwin)
    var value: posix_spawn_file_actions_t?
  #else
    var value = posix_spawn_file_actions_t()
  #endif

  init() { posix_spawn_file_actions_init(&value) }
  deinit {
    var copy = value
    posix_spawn_file_actions_destroy(&copy)
  }

  mutating func open(_ descriptor: Int32, _ path: String) {
    posix_spawn_file_actions_addopen(&value, descriptor, path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  }
}
