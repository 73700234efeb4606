#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Questions about paths, and folders' contents.
package enum FileTree {
  package enum Kind: Sendable { case file, folder, link, other }

  /// What is at `path`; nil when nothing is. A link is followed unless `followingLinks` is false.
  package static func kind(of path: String, followingLinks: Bool = true) -> Kind? {
    var status = stat()
    guard (followingLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .folder
    case S_IFLNK: .link
    default: .other
    }
  }

  /// Whether two paths lead to one file or folder, through links too.
  package static func isSame(_ path: String, _ other: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && leads(other, to: status)
  }

  /// Whether a path leads to the file or folder of that status, through links too.
  static func leads(_ path: String, to other: stat) -> Bool {
    var own = stat()
    return stat(path, &own) == 0 && own.st_ino == other.st_ino && own.st_dev == other.st_dev
  }

  /// When a file was last modified: nanoseconds since 1970; nil when there is none.
  package static func modificationTime(of path: String) -> Int64? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }

  /// Names in a folder, sorted by their bytes, without `.` and `..`.
  package static func names(in folder: String) throws(StorageError) -> [String] {
    guard let stream = opendir(folder) else { throw systemError("list", file: folder) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        guard errno == 0 else { throw systemError("list", file: folder) }
        break
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.precedesInBytes($1) }
  }

  /// The first file or link that fits, by its path in `folder`.
  static func firstFile(
    in folder: String, where fits: (String) -> Bool
  ) throws(StorageError) -> String? {
    func search(_ place: String) throws(StorageError) -> String? {
      for name in try names(in: join(folder, place)) {
        let path = place.isEmpty ? name : join(place, name)
        if kind(of: join(folder, path), followingLinks: false) == .folder {
          if let found = try search(path) { return found }
        } else if fits(path) {
          return path
        }
      }
      return nil
    }
    return try search("")
  }

  /// Whether `inner` is `outer` or inside of it; both resolved.
  static func contains(_ outer: String, _ inner: String) -> Bool {
    ExactString(inner) == ExactString(outer) || inner.utf8.starts(with: join(outer, "").utf8)
  }

  /// Refuses to replace what is being read: `output` is one of the inputs, or a file of one, or a folder that holds one.
  ///
  /// - Throws: `invalidArgument`.
  package static func check(_ output: String, replacesNoneOf inputs: [String]) throws(StorageError) {
    guard let new = try? resolved(output) else { return }
    for input in inputs {
      guard let old = try? resolved(input), contains(new, old) || contains(old, new) else { continue }
      throw StorageError(.invalidArgument, "would replace what is read, \(input); write elsewhere", file: output)
    }
  }

  /// What the link at `path` says, unresolved; nil when it is no link.
  package static func linkTarget(of path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes {
      readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    return count < 0 ? nil : String(validating: buffer[..<count], as: UTF8.self)
  }

  /// The absolute path of what is at `path`, without links and dots.
  static func resolved(_ path: String) throws(StorageError) -> String {
    guard let absolute = realpath(path, nil) else { throw systemError("resolve", file: path) }
    defer { free(absolute) }
    return String(cString: absolute)
  }

  /// Whether another file system begins at the folder `path`, which then cannot be renamed or replaced.
  static func isMountPoint(_ path: String) -> Bool {
    var own = stat()
    var above = stat()
    guard stat(path, &own) == 0, stat(join(path, ".."), &above) == 0 else { return false }
    return own.st_dev != above.st_dev || own.st_ino == above.st_ino
  }

  package static func makeFolder(_ path: String) throws(StorageError) {
    guard mkdir(path, 0o777) == 0 else { throw systemError("make the folder", file: path) }
  }

  /// Removes a file, or a folder with all that is in it; links are removed, not followed.
  package static func remove(_ path: String) throws(StorageError) {
    switch kind(of: path, followingLinks: false) {
    case nil: return
    case .folder:
      for name in try names(in: path) { try remove(join(path, name)) }
      guard rmdir(path) == 0 else { throw systemError("remove", file: path) }
    default:
      guard unlink(path) == 0 else { throw systemError("remove", file: path) }
    }
  }

  package static func join(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  /// The last component of a path, trailing slashes ignored.
  package static func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// The folder that holds `path`.
  package static func parent(_ path: String) -> String {
    var trimmed = Substring(path)
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }

  /// Makes a rename in `folder` survive a power cut.
  static func sync(folder: String) throws(StorageError) {
    let descriptor = openFile(folder, O_RDONLY)
    guard descriptor >= 0 else { throw systemError("open", file: folder) }
    defer { closeFile(descriptor) }
    // Some file systems cannot sync a folder and say EINVAL; there is nothing better to do there.
    guard syncFile(descriptor) == 0 || errno == EINVAL else { throw systemError("sync", file: folder) }
  }
}
