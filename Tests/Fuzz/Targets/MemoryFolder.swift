import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder for inputs that must be files: in memory where the system has a place for that. It goes with the process.
final class MemoryFolder: Sendable {
  static let shared = MemoryFolder()

  let path: String

  private init() {
    let root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(root)/tmpack-fuzz-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template))
    atexit { try? FileTree.remove(MemoryFolder.shared.path) }
  }

  /// The path of a file with these bytes.
  func file(_ name: String, _ bytes: [UInt8]) -> String {
    let path = FileTree.join(path, name)
    Self.put(bytes, at: path)
    return path
  }

  /// The path of a folder with these files and no others.
  func folder(_ name: String, _ files: [(name: String, bytes: [UInt8])]) -> String {
    let folder = FileTree.join(path, name)
    mkdir(folder, 0o700)
    for old in (try? FileTree.names(in: folder)) ?? [] where !files.contains(where: { $0.name == old }) {
      unlink(FileTree.join(folder, old))
    }
    for file in files { Self.put(file.bytes, at: FileTree.join(folder, file.name)) }
    return folder
  }

  private static func put(_ bytes: [UInt8], at path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    precondition(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
  }
}
