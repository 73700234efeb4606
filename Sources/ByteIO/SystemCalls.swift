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

func retrying(_ call: () -> Int32) -> Int32 { Int32(truncatingIfNeeded: retrying { Int(call()) }) }

/// `open`, with permissions for a file that it makes.
func openFile(_ path: String, _ flags: Int32, _ permissions: mode_t = 0o666) -> Int32 {
  retrying { open(path, flags | O_CLOEXEC, permissions) }
}

/// `close`, which an interrupt does not undo: the number is free again, and may be another file's by now.
@discardableResult
func closeFile(_ descriptor: Int32) -> Int32 {
  let result = close(descriptor)
  return result < 0 && errno == EINTR ? 0 : result
}

func syncFile(_ descriptor: Int32) -> Int32 { retrying { fsync(descriptor) } }

/// Renames in one step where both names keep a whole file or folder all the time.
enum AtomicRename {
  /// Both exist, and change places.
  case exchanging
  /// Nothing may be there yet.
  case withoutReplacing

  enum Outcome: Equatable {
    case done
    /// The system or the file system cannot do it.
    case unavailable
    /// `errno` says why.
    case failed
  }

  func callAsFunction(_ from: String, _ to: String) -> Outcome {
    #if os(Linux)
      let result = retrying { tmpack_rename(from, to, self == .exchanging ? 2 : 1) }
    #elseif canImport(Darwin)
      let result = retrying { renamex_np(from, to, UInt32(self == .exchanging ? RENAME_SWAP : RENAME_EXCL)) }
    #else
      let result: Int32 = -1
      errno = ENOSYS
    #endif
    guard result < 0 else { return .done }
    // Some sandboxes refuse system calls that they do not know with EPERM.
    return [EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM].contains(errno) ? .unavailable : .failed
  }
}

/// Asks the system to begin putting these bytes of a file on the disk, and does not wait for it. A failure shows when
/// the file is synced.
func beginSync(of descriptor: Int32, at offset: UInt64, count: Int) {
  #if os(Linux)
    _ = tmpack_begin_sync(descriptor, Int64(offset), Int64(count))
  #endif
}

/// Waits.
package func pause(milliseconds: Int) { usleep(useconds_t(1000 * milliseconds)) }

/// What a pipe has next; 0 at its end.
func readSome(of descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
  retrying { read(descriptor, buffer.baseAddress, buffer.count) }
}

func writeAll(
  _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: UInt64, path: String
) throws(StorageError) {
  var done = 0
  while done < bytes.count {
    let count = retrying {
      pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
    }
    guard count >= 0 else {
      // The system cannot read what is to be written: it is an input's, which is cut off by now.
      if errno == EFAULT, let lost = MappedInputs.fault(at: bytes.baseAddress! + done) { throw lost }
      throw systemError("write", file: path)
    }
    done += count
  }
}

/// Bytes that the file is known to have.
///
/// - Throws: `code` when it ends before.
func readAll(
  into destination: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: UInt64, _ path: String,
  orThrow code: StorageError.Code = .inputOutput
) throws(StorageError) {
  var done = 0
  while done < destination.count {
    let count = retrying {
      pread(descriptor, destination.baseAddress! + done, destination.count - done, off_t(offset) + off_t(done))
    }
    if count < 0 { throw systemError("read", file: path) }
    if count == 0 {
      throw StorageError(code, "the file shrank while it was read", file: path, offset: offset + UInt64(done))
    }
    done += count
  }
}
