import TMPackByteIO
import TMPackCheckpoints

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `-o -`: one file to standard output. Formats have sums and sizes in front of what they are of, so the file is made whole
/// first, where temporary files are.
enum StandardOutput {
  static let name = "-"
  private static let partBytes = 1 << 20

  /// Where the file is made.
  static func place(for format: WritableFormat) -> String {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    return FileTree.join(folder.isEmpty ? "/tmp" : folder, "tmpack.\(format == .pytorch ? "pt" : format.rawValue)")
  }

  /// From now on what is said goes to standard error.
  static func take() throws(StorageError) {
    guard isatty(STDOUT_FILENO) == 0 else {
      throw StorageError(
        .invalidArgument, "standard output is a terminal: a model goes to a pipe or a file, such as -o - | ssh …")
    }
    Console.keepOutputForData()
  }

  static func send(_ path: String) throws(StorageError) {
    let file = try ReadableFile(path, mode: .read)
    var offset: UInt64 = 0
    while offset < file.size {
      let count = Int(min(file.size - offset, UInt64(partBytes)))
      try file.withBytes(at: offset, count: count) { bytes throws(StorageError) in try send(bytes) }
      offset += UInt64(count)
    }
  }

  private static func send(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    var rest = bytes
    while !rest.isEmpty {
      #if canImport(Darwin)
        let count = Darwin.write(STDOUT_FILENO, rest.baseAddress, rest.count)
      #elseif canImport(Glibc)
        let count = Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
      #elseif canImport(Musl)
        let count = Musl.write(STDOUT_FILENO, rest.baseAddress, rest.count)
      #endif
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw StorageError(.inputOutput, "standard output: cannot write: \(String(cString: strerror(errno)))")
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
