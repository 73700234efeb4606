import TMPackCSystem

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the last failed system call said, as a `StorageError` that names the file.
func systemError(_ action: String, file: String) -> StorageError {
  let number = errno
  let code: StorageError.Code = number == ENOENT || number == ENOTDIR ? .notFound : .inputOutput
  return StorageError(code, "cannot \(action): \(String(cString: strerror(number)))", file: file)
}

/// For a file that is to be made, where `open` has failed.
func creationError(file: String) -> StorageError {
  guard errno == ENOENT else { return systemError("create", file: file) }
  return StorageError(
    .notFound, "cannot create: there is no folder '\(FileTree.parent(file))'; make it first", file: file)
}

/// Repeats a system call while a signal interrupts it.
func retrying(_ call: () -> Int) -> Int {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}

/// Asks the system to begin putting these bytes of a file on the disk, and does not wait for it. A failure shows when
/// the file is synced.
func beginSync(of descriptor: Int32, at offset: UInt64, count: Int) {
  #if os(Linux)
    _ = tmpack_begin_sync(descriptor, Int64(offset), Int64(count))
  #endif
}

func writeAll(
  _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: UInt64, path: String
) throws(StorageError) {
  var done = 0
  while done < bytes.count {
    let count = retrying {
      pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
    }
    guard count >= 0 else { throw systemError("write", file: path) }
    done += count
  }
}

/// Bytes that the file is known to have.
///
/// - Throws: `truncated` when it ends before.
func readAll(
  into destination: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: UInt64, _ path: String
) throws(StorageError) {
  var done = 0
  while done < destination.count {
    let count = retrying {
      pread(descriptor, destination.baseAddress! + done, destination.count - done, off_t(offset) + off_t(done))
    }
    if count < 0 { throw systemError("read", file: path) }
    if count == 0 {
      throw StorageError(.truncated, "the file shrank while it was read", file: path, offset: offset + UInt64(done))
    }
    done += count
  }
}
