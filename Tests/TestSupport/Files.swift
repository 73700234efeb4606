import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder for one test, removed with it.
package final class TemporaryFolder: Sendable {
  package let path: String

  package init() {
    var template = Array("/tmp/tmpack-tests-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template))
  }

  deinit { try? FileTree.remove(path) }

  package func callAsFunction(_ name: String) -> String { FileTree.join(path, name) }

  package var names: [String] { (try? FileTree.names(in: path)) ?? [] }
}

package func put(_ bytes: [UInt8], at path: String) throws {
  let file = try AtomicFile(path, replacing: true)
  try file.write(bytes)
  try file.commit()
}

/// `put` without syncs, for tests that write thousands of files.
package func putQuickly(_ bytes: [UInt8], at path: String) {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
  precondition(descriptor >= 0 && write(descriptor, bytes, bytes.count) == bytes.count)
  close(descriptor)
}

package func contents(_ path: String) throws -> [UInt8] {
  let file = try ReadableFile(path)
  return try file.bytes(at: 0, count: Int(file.size))
}

/// Who may read and write a file.
package func permissions(_ path: String) -> mode_t {
  var status = stat()
  precondition(stat(path, &status) == 0)
  return status.st_mode & 0o7777
}

package func removeFile(_ path: String) { unlink(path) }

/// The root of the package, found from this file's place in it.
package let packageRoot: String = {
  var path = #filePath
  for _ in 0..<3 { path = FileTree.parent(path) }
  return path
}()

package func truncateFile(_ path: String, to size: Int) { precondition(truncate(path, off_t(size)) == 0) }

/// Writes over some bytes of a file, in place.
package func overwriteFile(_ path: String, at offset: Int, with bytes: [UInt8]) {
  let descriptor = open(path, O_WRONLY | O_CLOEXEC)
  precondition(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count)
  close(descriptor)
}
