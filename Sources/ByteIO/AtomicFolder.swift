#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A folder that appears whole or not at all: filled beside its name, then renamed.
package final class AtomicFolder: StagedOutput {
  package let path: String
  /// Where to write the files until `commit()`.
  package let staging: String
  /// `path` without links, dots and slashes at its end, which a rename could not replace.
  private let target: String
  /// Whether a file of an older folder, by its path in it, may go; nil for none.
  private let isReplaceable: ((String) -> Bool)?
  private var subfolders: [String] = []
  /// Of `staging`, locked.
  private let descriptor: Int32
  /// Where what was there before is, between `appear` and `finish`.
  private var old: String?
  private var hasExchanged = false
  private var finished = false

  /// - Parameter isReplaceable: whether a file of a folder that is there already may go, by its path in that folder: because a
  ///   new one takes its place, or means the same. A folder with anything else in it is not replaced. nil to replace none.
  /// - Throws: `outputExists` when `path` holds something that must not be replaced; `invalidArgument` when nothing
  ///   can ever be put in its place. Both now, not after hours of work.
  package init(_ path: String, replacing isReplaceable: ((String) -> Bool)? = nil) throws(StorageError) {
    self.path = path
    self.isReplaceable = isReplaceable
    target = try Self.target(path, isReplaceable)
    Leftover.clear(besides: target)
    // Not `makeFolder`: its error would name the staging folder, which the caller has not heard of.
    guard let made = Leftover.makeFolder(besides: target, permissions: 0o777) else { throw creationError(file: path) }
    (staging, descriptor) = made
  }

  private static func target(_ path: String, _ isReplaceable: ((String) -> Bool)?) throws(StorageError) -> String {
    switch FileTree.kind(of: path) {
    case nil:
      guard FileTree.kind(of: path, followingLinks: false) == nil else {
        throw StorageError(.outputExists, "is a link to nothing", file: path)
      }
      guard !path.isEmpty else { throw StorageError(.invalidArgument, "an output needs a name") }
      return FileTree.join(FileTree.parent(path), FileTree.lastComponent(path))
    case .folder:
      let target = try FileTree.resolved(path)
      if let here = try? FileTree.resolved("."), FileTree.contains(target, here) {
        throw notReplaced(path, "is the current folder or holds it")
      }
      guard !FileTree.isMountPoint(target) else {
        throw notReplaced(path, "is a mount point")
      }
      try check(target, path, isReplaceable)
      return target
    default:
      throw StorageError(.outputExists, "exists and is not a folder", file: path)
    }
  }

  /// Of a folder that cannot be set aside, also when it is empty: the files would appear in it one after the other.
  private static func notReplaced(_ path: String, _ reason: String) -> StorageError {
    let inside = FileTree.join(path, "model")
    return StorageError(
      .invalidArgument, "\(reason), so nothing whole can take its place; name a folder inside it, such as \(inside)",
      file: path)
  }

  /// Refuses to replace a folder with something in it that would be lost.
  private static func check(
    _ target: String, _ path: String, _ isReplaceable: ((String) -> Bool)?
  ) throws(StorageError) {
    guard let isReplaceable else {
      guard try FileTree.names(in: target).isEmpty else {
        throw StorageError(.outputExists, "is a folder with files in it", file: path).with(.replace)
      }
      return
    }
    if let other = try FileTree.firstFile(in: target, where: { !isReplaceable($0) }) {
      throw StorageError(
        .outputExists, "is not replaced: it holds \(other), which is not of the model; move that away first", file: path
      )
    }
  }

  deinit {
    if !finished {
      try? FileTree.remove(staging)
      UnfinishedOutputs.forget(staging)
    }
    closeFile(descriptor)
  }

  /// A file of the folder, to be written and committed by itself; the sub-folders in its name are made.
  package func makeFile(_ name: CarriedFileName) throws(StorageError) -> AtomicFile {
    var folder = staging
    for component in name.components.dropLast() {
      folder = FileTree.join(folder, String(component))
      if FileTree.kind(of: folder, followingLinks: false) == nil {
        try named { () throws(StorageError) in try FileTree.makeFolder(folder) }
        subfolders.append(folder)
      }
    }
    return try AtomicFile(
      FileTree.join(path, name.text), writtenTo: FileTree.join(staging, name.text), isStaged: true)
  }

  /// Errors of `body` name the folder as the caller does, who has not heard of the staging folder.
  private func named(_ body: () throws(StorageError) -> Void) throws(StorageError) {
    do { try body() } catch { throw StorageError(error.code, error.message, file: path) }
  }

  package func settle() throws(StorageError) {
    try named { () throws(StorageError) in
      for folder in subfolders.reversed() { try FileTree.sync(folder: folder) }
      try FileTree.sync(folder: staging)
    }
  }

  /// Puts the folder in place. An older one of that name changes places with it, and is removed last.
  package func appear(keepingOld _: Bool) throws(StorageError) {
    guard FileTree.kind(of: target) != nil, try !FileTree.names(in: target).isEmpty else {
      // An empty folder is replaced.
      return try rename(staging, target, "rename into place")
    }
    // Again: something may have appeared while this was being written.
    try Self.check(target, path, isReplaceable)
    switch AtomicRename.exchanging(staging, target) {
    case .done:
      (old, hasExchanged) = (staging, true)
    case .failed: throw systemError("rename into place", file: path)
    case .unavailable:
      // Whoever is killed between the two leaves no folder of the name, and the next run brings the old one back. Not ours to
      // delete on an interrupt: it is the user's until the new folder is in place.
      let aside = Leftover.name(besides: target, isOld: true)
      try rename(target, aside, "set aside")
      do throws(StorageError) { try rename(staging, target, "rename into place") } catch {
        try? rename(aside, target, "bring back")
        throw error
      }
      old = aside
    }
  }

  private func rename(_ from: String, _ to: String, _ action: String) throws(StorageError) {
    #if canImport(Darwin)
      let result = retrying { Darwin.rename(from, to) }
    #elseif canImport(Glibc)
      let result = retrying { Glibc.rename(from, to) }
    #else
      let result = retrying { Musl.rename(from, to) }
    #endif
    guard result == 0 else { throw systemError(action, file: path) }
  }

  package func withdraw() {
    if hasExchanged {
      _ = AtomicRename.exchanging(staging, target)
    } else {
      try? rename(target, staging, "withdraw")
      if let old { try? rename(old, target, "bring back") }
    }
    (old, hasExchanged) = (nil, false)
  }

  package func finish() {
    finished = true
    CommitNotes.appeared(path)
    CommitNotes.afterwards(path) { () throws(StorageError) in try FileTree.sync(folder: FileTree.parent(target)) }
    // What is not removed is what a killed run leaves, too: the next one removes it.
    if let old { try? FileTree.remove(old) }
    UnfinishedOutputs.forget(staging)
  }
}
