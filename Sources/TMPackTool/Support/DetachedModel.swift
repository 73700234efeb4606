import TMPackByteIO
import TMPackCheckpoints
import TMPackReading

/// The shared model of detached archives, as a command line gives it.
struct DetachedModel {
  /// Given as that.
  let path: String?
  /// Given as the base: that is the shared model of archives which are made so.
  var base: String?

  /// - Parameter isRequired: whether a detached archive is of no use without its shared model.
  func open(_ path: String, _ io: InputMode, isRequired: Bool = true) throws(StorageError) -> Archive {
    try complete(Archive.opened(path, io), io, isRequired: isRequired)
  }

  /// The archive with its shared model, if that is elsewhere.
  func complete(_ archive: Archive, _ io: InputMode, isRequired: Bool = true) throws(StorageError) -> Archive {
    guard archive.isDetached else {
      guard path == nil else {
        throw StorageError(
          .invalidArgument, "holds its shared model itself; --shared-from is for detached archives", file: archive.path)
      }
      return archive
    }
    guard let path = path(for: archive) else {
      guard isRequired else { return archive }
      throw StorageError(
        .invalidArgument, "is detached: its shared model is another checkpoint; give it with --shared-from",
        file: archive.path)
    }
    return try Archive(archive.path, mode: io, sharedModel: try Checkpoint.open(path, mode: io).source)
  }

  /// Where the shared model of a detached archive is; nil if that was not said.
  func path(for archive: Archive) -> String? { path ?? (archive.method.name == .base ? base : nil) }
}
