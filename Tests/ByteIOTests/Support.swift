import ByteIO

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

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

/// SplitMix64: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
}

/// The error that `body` throws; nil when it throws none.
func failure(of body: () throws -> Void) -> StorageError? {
  do { try body() } catch { return error as? StorageError }
  return nil
}

func code(of body: () throws -> Void) -> StorageError.Code? { failure(of: body)?.code }
