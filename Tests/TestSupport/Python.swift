import ByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Runs Python programs, with what they print.
package enum Python {
  /// That of `scripts/install-dependencies tests`, or else the first on the path.
  package static let interpreter: String = {
    let own = FileTree.join(packageRoot, ".build-python/bin/python3")
    return FileTree.kind(of: own) == nil ? "python3" : own
  }()

  /// Whether Python runs `script` without an error.
  package static func runs(_ script: String) -> Bool { run(["-c", script])?.status == 0 }

  /// The exit status and what was written to the standard output and error; nil when there is no Python.
  package static func run(_ arguments: [String]) -> (status: Int32, output: String, errors: String)? {
    let folder = TemporaryFolder()
    var pointers: [UnsafeMutablePointer<CChar>?] = ([interpreter] + arguments).map { strdup($0) } + [nil]
    defer { pointers.forEach { free($0) } }
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
    #else
      var actions = posix_spawn_file_actions_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, folder("out"), O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, folder("err"), O_WRONLY | O_CREAT, 0o600)
    var child = pid_t()
    guard posix_spawnp(&child, interpreter, &actions, nil, &pointers, environ) == 0 else { return nil }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    func text(_ name: String) -> String { String(decoding: (try? contents(folder(name))) ?? [], as: UTF8.self) }
    return (status & 0x7F == 0 ? status >> 8 & 0xFF : -1, text("out"), text("err"))
  }
}
