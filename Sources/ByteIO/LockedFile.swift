#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An open file that no other process changes: it is locked, and was the one of its name when it was.
///
/// The lock goes with it.
struct LockedFile: ~Copyable {
  let descriptor: Int32
  /// What it was when it was locked.
  let status: stat

  var size: UInt64 { UInt64(status.st_size) }

  /// Who may read and write it.
  var permissions: mode_t { status.st_mode & 0o7777 }

  /// Opens a file for reading and writing, behind links.
  ///
  /// - Parameter creating: makes an empty file where there is none.
  /// - Throws: `inputOutput` when another process holds the lock; `notFound`; `invalidArgument` for anything but a regular
  ///   file.
  init(_ path: String, creating: Bool = false) throws(StorageError) {
    var attempts = Self.attempts
    while true {
      let descriptor = openFile(path, O_RDWR | O_NONBLOCK | (creating ? O_CREAT : 0))
      guard descriptor >= 0 else {
        throw creating ? creationError(file: path) : systemError("open for writing", file: path)
      }
      do throws(StorageError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw systemError("examine", file: path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
          throw StorageError(.invalidArgument, "is not a regular file", file: path)
        }
        while retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) != 0 {
          // Some network disks have no locks.
          guard errno == EWOULDBLOCK else { throw systemError("lock", file: path) }
          attempts -= 1
          guard attempts > 0 else {
            throw StorageError(.inputOutput, "another process is working on it", file: path)
          }
          TMPackByteIO.pause(milliseconds: Self.pause)
        }
        // The one before may have changed, moved or replaced it between `open` and `flock`.
        if fstat(descriptor, &status) == 0, FileTree.leads(path, to: status) {
          self.descriptor = descriptor
          self.status = status
          return
        }
      } catch {
        closeFile(descriptor)
        throw error
      }
      closeFile(descriptor)
    }
  }

  /// A reader that finds a writer's traces holds the lock for an instant, to learn whether there is one.
  private static let (attempts, pause) = (20, 5)

  deinit { closeFile(descriptor) }

  /// Throws `inputOutput` unless it still has the name `path`, which not everybody who replaces files asks a lock for.
  func checkName(_ path: String) throws(StorageError) {
    guard FileTree.leads(path, to: status) else {
      throw StorageError(.inputOutput, "was replaced by another process; try again", file: path)
    }
  }

  /// Gives another file this one's owner and group, where the system allows that, and its permissions.
  func giveRights(to other: Int32, _ path: String) throws(StorageError) {
    var own = stat()
    guard fstat(other, &own) == 0 else { throw systemError("look at", file: path) }
    if own.st_uid != status.st_uid || own.st_gid != status.st_gid {
      // Root may give files away; others may give them to their groups.
      if fchown(other, status.st_uid, status.st_gid) != 0 { _ = fchown(other, own.st_uid, status.st_gid) }
      // It may have taken some of the permissions away.
      guard fstat(other, &own) == 0 else { throw systemError("look at", file: path) }
    }
    guard own.st_mode & 0o7777 == permissions || fchmod(other, permissions) == 0 else {
      throw systemError("set the permissions", file: path)
    }
  }
}
