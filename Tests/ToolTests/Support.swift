import ByteIO
import Digests
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// What one run of the tool did.
struct Run {
  /// Its exit code; 128 and the signal's number for one that a signal has killed.
  let code: Int32
  let output: String
  /// What it wrote to standard error.
  let talk: String

  func json() throws -> JSONObject { try object(output) }

  /// The members of `error` in the JSON on standard error.
  func jsonError() throws -> JSONObject {
    let text = talk.split(separator: "\n").last.map(String.init) ?? ""
    return try object(object(text)["error"])
  }
}

func object(_ text: String) throws -> JSONObject { try object(JSONValue(parsing: Array(text.utf8))) }

func object(_ value: JSONValue?) throws -> JSONObject {
  guard case .object(let object) = value else {
    throw StorageError(.malformed, "no object: \(String(describing: value))")
  }
  return object
}

func strings(_ value: JSONValue?) -> [String] {
  guard case .array(let array) = value else { return [] }
  return array.compactMap { if case .string(let text) = $0 { text } else { nil } }
}

/// The tool of the same build: it lies beside the bundle of the tests.
let toolPath: String = {
  let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? ""
  let components = bundle.split(separator: "/", omittingEmptySubsequences: false)
  let folder = components.prefix { !$0.hasSuffix(".xctest") }.joined(separator: "/")
  return folder + "/tmpack"
}()

/// A running tool, or another program.
struct Child {
  let process: pid_t
  private let logs: TemporaryFolder

  init(_ program: String, _ arguments: [String]) throws {
    logs = TemporaryFolder()
    var actions = FileActions()
    actions.open(STDOUT_FILENO, logs("out"))
    actions.open(STDERR_FILENO, logs("err"))
    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var process = pid_t()
    let result = posix_spawn(&process, program, &actions.value, nil, &argv, environ)
    try #require(result == 0, "cannot run \(program)")
    self.process = process
  }

  func wait() throws -> Run {
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

func tmpack(_ arguments: String...) throws -> Run { try Child(toolPath, arguments).wait() }

/// Runs the tool after shell commands, such as a limit.
func tmpack(after setup: String, _ arguments: String...) throws -> Run {
  try Child("/bin/sh", ["-c", "\(setup); exec \"$0\" \"$@\"", toolPath] + arguments).wait()
}

// MARK: Files

/// A folder for one test, removed with it.
final class TemporaryFolder: Sendable {
  let path: String

  init() {
    var template = Array("/tmp/tmpack-tests-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template))
  }

  deinit { try? FileTree.remove(path) }

  func callAsFunction(_ name: String) -> String { FileTree.join(path, name) }

  var names: [String] { (try? FileTree.names(in: path)) ?? [] }
}

func put(_ bytes: [UInt8], at path: String) throws {
  let file = try AtomicFile(path, replacing: true)
  try file.write(bytes)
  try file.commit()
}

func contents(_ path: String) throws -> [UInt8] {
  let file = try ReadableFile(path)
  return try file.bytes(at: 0, count: Int(file.size))
}

// MARK: Models

let repository = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

/// A checkpoint in `Fixtures/mhcnuggets`.
func fixture(_ name: String) -> String { "\(repository)/Fixtures/mhcnuggets/\(name).safetensors" }

let base = fixture("base")
let a66 = fixture("HLA-A6601_BA")
let b44 = fixture("HLA-B4402_BA")
let c07 = fixture("HLA-C0701_BA")

/// An archive of two real experts, `a66` and `b44`.
func zoo(in folder: TemporaryFolder, _ options: String...) throws -> String {
  let path = folder("zoo.tmpack")
  let arguments = ["pack", "--base", base, "--expert", "a66=\(a66)", "--expert", "b44=\(b44)", "-o", path] + options
  let run = try Child(toolPath, arguments).wait()
  try #require(run.code == 0, "\(run.talk)")
  return path
}

/// Sets an integer of the header in slot 0 and signs the slot anew.
func patchHeader<Field: FixedWidthInteger>(_ path: String, at offset: Int, _ value: Field) throws {
  var bytes = try contents(path)
  withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  // TMP-3-2
  let digest = Digest(of: Array(bytes[0..<96]))
  bytes.replaceSubrange(96..<128, with: digest.bytes)
  try put(bytes, at: path)
}
