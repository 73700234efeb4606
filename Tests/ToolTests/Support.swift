import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TestSupport
import Testing

extension Run {
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

func tmpack(_ arguments: String...) throws -> Run { try tmpack(arguments) }

func tmpack(_ arguments: [String]) throws -> Run { try Child(toolPath, arguments).wait() }

/// Runs the tool after shell commands, such as a limit.
func tmpack(after setup: String, _ arguments: String...) throws -> Run {
  try Child("/bin/sh", ["-c", "\(setup); exec \"$0\" \"$@\"", toolPath] + arguments).wait()
}

// MARK: Models

/// A checkpoint in `Fixtures/mhcnuggets`.
func fixture(_ name: String) -> String { "\(packageRoot)/Fixtures/mhcnuggets/\(name).safetensors" }

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
  let digest = ContentDigest(of: Array(bytes[0..<96]))
  bytes.replaceSubrange(96..<128, with: digest.bytes)
  try put(bytes, at: path)
}
