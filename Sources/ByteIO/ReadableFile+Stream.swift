#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension ReadableFile {
  private final class Memory {
    var bytes: [UInt8] = []
    lazy var view: UnsafeMutableRawBufferPointer = {
      let view = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
      view.copyBytes(from: bytes)
      return view
    }()
    deinit { view.deallocate() }
  }

  /// A file of text that people write: also from a pipe, such as a shell's `<(…)` or `/dev/stdin`, which is read to its end.
  ///
  /// - Parameters:
  ///   - limit: most bytes of a pipe; a regular file's are checked by who reads it.
  ///   - what: names the text in an error.
  package static func ofText(_ path: String, atMost limit: Int, _ what: String) throws(StorageError) -> ReadableFile {
    guard FileTree.kind(of: path) == .other else { return try ReadableFile(path, mode: .read) }
    let descriptor = openFile(path, O_RDONLY)
    guard descriptor >= 0 else { throw systemError("open", file: path) }
    defer { closeFile(descriptor) }
    let memory = Memory()
    var part = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = part.withUnsafeMutableBytes { readSome(of: descriptor, into: $0) }
      guard count >= 0 else { throw systemError("read", file: path) }
      guard count > 0 else { break }
      memory.bytes += part[..<count]
      try located(file: path) { () throws(StorageError) in
        try Limits.check(memory.bytes.count, atMost: limit, what)
      }
    }
    return ReadableFile(UnsafeRawBufferPointer(memory.view), keeping: memory, path: path)
  }
}
