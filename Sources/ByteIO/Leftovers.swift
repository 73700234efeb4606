#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Files and folders under temporary names, which whoever makes them holds a lock on, as long as it lives.
///
/// A process that is killed leaves them. The next run with the same output removes them; so does `tmpack doctor --clean`.
package struct Leftover: Sendable {
  package enum State: String, Sendable {
    /// Whoever makes it is at work.
    case live
    /// Nobody holds the lock.
    case abandoned
    /// On a network disk the lock may be another machine's, which cannot be seen here: of the last day.
    case unknown
  }

  package let path: String
  /// The name beside it that it was to get, or had.
  package let output: String
  package let state: State
  package let bytes: UInt64
  /// Whole seconds since it was last changed.
  package let age: Int64
  /// Whether it is what `output` was, set aside for a new one.
  package let isOld: Bool

  // MARK: Names

  private static let mark = "-tmpack"
  private static let newSuffix = ".tmp"
  private static let oldSuffix = ".old"
  private static let uniqueCount = 13

  /// A name beside `path` that no other writer uses.
  static func name(besides path: String, isOld: Bool = false) -> String {
    // Random, not the process's number: on a shared disk the writers are on several machines, and in containers every
    // one of them is process 1.
    let random = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    let unique = String(repeating: "0", count: uniqueCount - random.utf8.count) + random
    let suffix = unique + mark + (isOld ? oldSuffix : newSuffix)
    return FileTree.join(FileTree.parent(path), ".\(shortened(FileTree.lastComponent(path))).\(suffix)")
  }

  /// Systems allow a name 255 bytes, and a name that is allowed must have its sibling.
  private static func shortened(_ name: String) -> String {
    var name = name
    while name.utf8.count > 255 - 2 - uniqueCount - mark.utf8.count - newSuffix.utf8.count { name.removeLast() }
    return name
  }

  /// The output's name in that of a temporary; nil for other names.
  private static func output(inName name: String) -> (name: String, isOld: Bool)? {
    guard name.hasPrefix("."), let suffix = [newSuffix, oldSuffix].first(where: { name.hasSuffix(mark + $0) }) else {
      return nil
    }
    let rest = name.dropFirst().dropLast(mark.utf8.count + suffix.utf8.count)
    guard let dot = rest.lastIndex(of: "."), dot > rest.startIndex else { return nil }
    let unique = rest[rest.index(after: dot)...].utf8
    guard unique.count == uniqueCount, unique.allSatisfy({ "0123456789abcdefghijklmnopqrstuvwxyz".utf8.contains($0) })
    else { return nil }
    return (String(rest[..<dot]), suffix == oldSuffix)
  }

  // MARK: Making

  /// Makes an empty file or folder and locks it, where the file system has locks.
  ///
  /// - Returns: nil, with `errno`, when it cannot be made. It is registered as unfinished else.
  static func make(
    besides path: String, _ open: (_ temporary: String) -> Int32
  ) -> (path: String, descriptor: Int32)? {
    while true {
      let temporary = name(besides: path)
      UnfinishedOutputs.register(temporary)
      var descriptor = open(temporary)
      if descriptor < 0, errno == ENOENT {
        if MissingFolders.make(for: temporary) { descriptor = open(temporary) } else { errno = ENOENT }
      }
      guard descriptor >= 0 else {
        let number = errno
        UnfinishedOutputs.forget(temporary)
        errno = number
        return nil
      }
      // Others hold it for an instant at most.
      _ = retrying { flock(descriptor, LOCK_EX) }
      // Another run may have found it before it was locked, and taken it for a leftover.
      var status = stat()
      if fstat(descriptor, &status) != 0 || FileTree.leads(temporary, to: status) { return (temporary, descriptor) }
      UnfinishedOutputs.forget(temporary)
      closeFile(descriptor)
    }
  }

  /// Makes an empty folder and locks it, as `make` does.
  static func makeFolder(besides path: String, permissions: mode_t) -> (path: String, descriptor: Int32)? {
    make(besides: path) { temporary in
      guard mkdir(temporary, permissions) == 0 else { return -1 }
      let descriptor = openFile(temporary, O_RDONLY | O_DIRECTORY)
      if descriptor < 0 {
        let number = errno
        rmdir(temporary)
        errno = number
      }
      return descriptor
    }
  }

  // MARK: Finding

  /// Those in a folder, of any output.
  package static func list(in folder: String) throws(StorageError) -> [Leftover] {
    try FileTree.names(in: folder).compactMap { name in
      output(inName: name).flatMap { Leftover(FileTree.join(folder, name), $0.name, isOld: $0.isOld) }
    }
  }

  /// Removes what killed runs have left of an output, and brings back an older one that was set aside last. What cannot be
  /// removed stays.
  static func clear(besides target: String) {
    let own = shortened(FileTree.lastComponent(target))
    let folder = FileTree.parent(target)
    for name in (try? FileTree.names(in: folder)) ?? [] {
      guard let output = output(inName: name), output.name.hasSameBytes(as: own),
        let leftover = Leftover(FileTree.join(folder, name), output.name, isOld: output.isOld)
      else { continue }
      _ = try? leftover.resolve()
    }
  }

  private init?(_ path: String, _ name: String, isOld: Bool) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    self.path = path
    self.isOld = isOld
    output = FileTree.join(FileTree.parent(path), name)
    let stamp = FileTree.modificationTime(of: path) ?? 0
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    age = max(0, Int64(now.tv_sec) - stamp / 1_000_000_000)
    bytes = FileTree.bytes(in: path)
    state = (try? Self.whileLocked(path, age) { (state) throws(StorageError) in state }) ?? .unknown
  }

  /// Runs `body` with the state, under the lock if that can be had.
  private static func whileLocked<Result>(
    _ path: String, _ age: Int64, _ body: (State) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    let descriptor = openFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return try body(.unknown) }
    defer { closeFile(descriptor) }
    let isOfLastDay = age <= 24 * 60 * 60
    if retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) != 0 {
      return try body(errno == EWOULDBLOCK ? .live : isOfLastDay ? .unknown : .abandoned)
    }
    return try body(isOnNetwork(descriptor) && isOfLastDay ? .unknown : .abandoned)
  }

  // MARK: Removing

  package enum Resolution: String, Sendable {
    case kept
    case removed
    /// It is under the output's name again.
    case restored
  }

  /// Removes one that nobody works on. What an output was, whose new one never came, gets its name back.
  @discardableResult
  package func resolve() throws(StorageError) -> Resolution {
    try Self.whileLocked(path, age) { state throws(StorageError) in
      guard state == .abandoned else { return .kept }
      if isOld, FileTree.kind(of: output, followingLinks: false) == nil, rename(path, output) == 0 { return .restored }
      try FileTree.remove(path)
      return .removed
    }
  }
}

extension FileTree {
  /// Bytes of a file, or of all files in a folder; links are not followed.
  static func bytes(in path: String) -> UInt64 {
    var status = stat()
    guard lstat(path, &status) == 0 else { return 0 }
    guard status.st_mode & S_IFMT == S_IFDIR else { return UInt64(max(0, status.st_size)) }
    return ((try? names(in: path)) ?? []).reduce(0) { $0 &+ bytes(in: join(path, $1)) }
  }
}
