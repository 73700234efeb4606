import TMPackByteIO
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@Suite struct ReadableFileTests {
  @Test(arguments: InputMode.allCases) func readsTheSameBytesInEveryMode(_ mode: InputMode) throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 2)
    let bytes = (0..<70_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    try put(bytes, at: folder("f"))
    let file = try ReadableFile(folder("f"), mode: mode)
    #expect(file.isMapped == (mode != .read))
    for (start, count) in [(0, 70_000), (0, 0), (70_000, 0), (1, 3), (4095, 4098), (69_999, 1)] {
      let expected = Array(bytes[start..<start + count])
      #expect(try file.bytes(at: UInt64(start), count: count) == expected)
      var copy = [UInt8](repeating: 0, count: count)
      try copy.withUnsafeMutableBytes { try file.read(at: UInt64(start), into: $0) }
      #expect(copy == expected)
      let view = try file.mappedBytes(at: UInt64(start), count: count)
      #expect(view.map { [UInt8]($0) } == (mode == .read ? nil : expected))
    }
    for (start, count): (UInt64, Int) in [(70_000, 1), (0, 70_001), (.max, 1), (70_001, 0), (1, .max)] {
      #expect(code { _ = try file.bytes(at: start, count: count) } == .truncated)
      #expect(code { _ = try file.mappedBytes(at: start, count: count) } == .truncated)
    }
  }

  @Test(arguments: InputMode.allCases) func opensAnEmptyFile(_ mode: InputMode) throws {
    let folder = TemporaryFolder()
    try put([], at: folder("f"))
    let file = try ReadableFile(folder("f"), mode: mode)
    #expect(file.size == 0)
    #expect(try file.bytes(at: 0, count: 0) == [])
  }

  @Test func refusesWhatIsNotARegularFile() {
    let folder = TemporaryFolder()
    #expect(code { _ = try ReadableFile(folder("absent")) } == .notFound)
    #expect(code { _ = try ReadableFile(folder.path) } == .invalidArgument)
    #expect(mkfifo(folder("pipe"), 0o600) == 0)
    #expect(code { _ = try ReadableFile(folder("pipe")) } == .invalidArgument)
  }

  @Test func reportsAFileThatShrank() throws {
    let folder = TemporaryFolder()
    try put([1, 2, 3, 4], at: folder("f"))
    let file = try ReadableFile(folder("f"), mode: .read)
    #expect(truncate(folder("f"), 2) == 0)
    #expect(code { _ = try file.bytes(at: 0, count: 4) } == .truncated)
  }
}

@Suite struct AtomicFileTests {
  @Test func appearsOnlyWhenCommitted() throws {
    let folder = TemporaryFolder()
    let file = try AtomicFile(folder("f"))
    try file.write([1, 2, 3])
    try file.overwrite([9], at: 1)
    #expect(!folder.names.contains("f"))
    try file.commit()
    #expect(folder.names == ["f"])
    #expect(try contents(folder("f")) == [1, 9, 3])
  }

  /// Across what is handed to the disk at a time.
  @Test func writesManyBytesInOrder() throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 3)
    let bytes = random.bytes(20 << 20 | 1)
    let file = try AtomicFile(folder("f"))
    var expected: [UInt8] = []
    for (start, count) in [(0, 5), (3, 18 << 20), (7, 0), (1, 8 << 20), (0, bytes.count)] {
      try file.write(Array(bytes[start..<start + count]))
      expected += bytes[start..<start + count]
      #expect(file.position == UInt64(expected.count))
    }
    try file.commit()
    let isSame = try contents(folder("f")) == expected
    #expect(isSame)
  }

  @Test(arguments: [InputMode.mmap, .read]) func copiesPartsOfARange(_ mode: InputMode) throws {
    let folder = TemporaryFolder()
    try put([0, 1, 2, 3, 4, 5, 6, 7], at: folder("f"))
    let range = FileRange(try ReadableFile(folder("f"), mode: mode), at: 2, count: 5)
    func copy(_ start: Int, _ count: Int) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 9, count: count)
      try bytes.withUnsafeMutableBytes { try range.copy(from: start, into: $0) }
      return bytes
    }
    #expect(try copy(0, 5) == [2, 3, 4, 5, 6])
    #expect(try copy(3, 2) == [5, 6])
    #expect(try copy(5, 0) == [])
    let beyond = FileRange(range.file, at: 6, count: 3)
    var bytes: [UInt8] = [0, 0, 0]
    #expect(code { try bytes.withUnsafeMutableBytes { try beyond.copy(from: 0, into: $0) } } == .truncated)
  }

  /// What is still in memory and what was handed on are changed alike.
  @Test func overwritesWhatABufferHoldsAndWhatItHandedOn() throws {
    let folder = TemporaryFolder()
    let file = try AtomicFile(folder("f"))
    let sink = BufferedSink(file)
    try sink.write([1, 2, 3, 4])
    try sink.overwrite([9], at: 3)
    try sink.flush()
    try sink.write([5, 6])
    try sink.overwrite([8], at: 0)
    try sink.overwrite([7], at: 4)
    try sink.write([10])
    // Across the border.
    try sink.overwrite([11, 12], at: 3)
    try sink.flush()
    try file.commit()
    #expect(try contents(folder("f")) == [8, 2, 3, 11, 12, 6, 10])
  }

  @Test func leavesNothingWhenDropped() throws {
    let folder = TemporaryFolder()
    do {
      let file = try AtomicFile(folder("f"))
      try file.write([1])
    }
    #expect(folder.names.isEmpty)
  }

  @Test func refusesAnExistingFileUnlessReplacing() throws {
    let folder = TemporaryFolder()
    try put([1], at: folder("f"))
    #expect(code { _ = try AtomicFile(folder("f")) } == .outputExists)
    let file = try AtomicFile(folder("f"), replacing: true)
    try file.write([2])
    #expect(try contents(folder("f")) == [1])
    try file.commit()
    #expect(try contents(folder("f")) == [2])
    #expect(folder.names == ["f"])
  }

  @Test func refusesAFileThatAppearedMeanwhile() throws {
    let folder = TemporaryFolder()
    do {
      let file = try AtomicFile(folder("f"))
      try put([1], at: folder("f"))
      #expect(code { try file.commit() } == .outputExists)
    }
    #expect(try contents(folder("f")) == [1])
    #expect(folder.names == ["f"])
  }

  @Test func refusesFoldersAndMissingFolders() throws {
    let folder = TemporaryFolder()
    #expect(code { _ = try AtomicFile(folder.path, replacing: true) } == .outputExists)
    #expect(code { _ = try AtomicFile(folder("no/f")) } == .notFound)
  }

  @Test func replacesFilesOnly() throws {
    let folder = TemporaryFolder()
    #expect(mkfifo(folder("pipe"), 0o600) == 0)
    #expect(symlink("pipe", folder("link")) == 0)
    for name in ["pipe", "link"] {
      #expect(code { _ = try AtomicFile(folder(name), replacing: true) } == .outputExists)
    }
    #expect(code { _ = try AtomicFile("/dev/null", replacing: true) } == .outputExists)
    #expect(FileTree.kind(of: "/dev/null") == .other)
    #expect(folder.names == ["link", "pipe"])
  }

  @Test func keepsAPipeThatAppearedMeanwhile() throws {
    let folder = TemporaryFolder()
    do {
      let file = try AtomicFile(folder("f"), replacing: true)
      #expect(mkfifo(folder("f"), 0o600) == 0)
      #expect(code { try file.commit() } == .outputExists)
    }
    #expect(FileTree.kind(of: folder("f")) == .other)
    #expect(folder.names == ["f"])
  }
}

extension AtomicFileTests {
  // Others may need what a link leads to, as in the hub's cache.
  @Test func ofALinkOnlyTheLinkIsReplaced() throws {
    let folder = TemporaryFolder()
    try put([1], at: folder("kept"))
    try #require(symlink("kept", folder("link")) == 0)
    #expect(code { _ = try AtomicFile(folder("link")) } == .outputExists)
    try put([2], at: folder("link"))
    #expect(try contents(folder("kept")) == [1])
    #expect(try contents(folder("link")) == [2])
    #expect(FileTree.kind(of: folder("link"), followingLinks: false) == .file)
  }

  @Test func aFileWrittenAnewKeepsItsLinksAndPermissions() throws {
    let folder = TemporaryFolder()
    try put([1], at: folder("f"))
    try #require(chmod(folder("f"), 0o640) == 0)
    try #require(symlink("f", folder("link")) == 0)
    do {
      let file = try AtomicFile(rewriting: folder("link"))
      try file.write([2])
      // One writer at a time, by whatever name.
      #expect(code { _ = try AtomicFile(rewriting: folder("f")) } == .inputOutput)
      #expect(code { _ = try UpdatableFile(folder("f"), end: 1) } == .inputOutput)
      #expect(try contents(folder("f")) == [1])
      try file.commit()
    }
    #expect(folder.names == ["f", "link"])
    #expect(try contents(folder("f")) == [2])
    #expect(permissions(folder("f")) == 0o640)
    #expect(FileTree.kind(of: folder("link"), followingLinks: false) == .link)
    #expect(code { _ = try AtomicFile(rewriting: folder("absent")) } == .notFound)
  }

  @Test func aFileThatWasReplacedIsNotWrittenAnew() throws {
    let folder = TemporaryFolder()
    try put([1], at: folder("f"))
    do {
      let file = try AtomicFile(rewriting: folder("f"))
      try put([2], at: folder("f"))
      #expect(code { try file.commit() } == .inputOutput)
    }
    #expect(try contents(folder("f")) == [2])
    #expect(folder.names == ["f"])
  }
}

@Suite struct UpdatableFileTests {
  let folder = TemporaryFolder()

  @Test func keepsWhatWasWrittenOnceItHasSwitchedOver() throws {
    try put([1, 2, 3], at: folder("f"))
    let file = try UpdatableFile(folder("f"), end: 2)
    try file.write([7, 8])
    #expect(try contents(folder("f")) == [1, 2, 7, 8])
    try file.switchOver([9], at: 0)
    #expect(code { _ = try UpdatableFile(folder("f"), end: 0) } == .inputOutput)
    #expect(try contents(folder("f")) == [9, 2, 7, 8])
  }

  @Test func cutsOffWhatWasWrittenWhenDropped() throws {
    try put([1, 2], at: folder("f"))
    do {
      let file = try UpdatableFile(folder("f"), end: 2)
      try file.write([3])
    }
    #expect(try contents(folder("f")) == [1, 2])
  }

  @Test func doesNotSwitchOverAFileThatWasReplaced() throws {
    try put([1, 2], at: folder("f"))
    let file = try UpdatableFile(folder("f"), end: 2)
    try file.write([3])
    try put([4, 5], at: folder("f"))
    #expect(code { try file.switchOver([9], at: 0) } == .inputOutput)
    #expect(try contents(folder("f")) == [4, 5])
  }

  @Test func changesExistingFilesOnly() throws {
    #expect(code { _ = try UpdatableFile(folder("absent"), end: 0) } == .notFound)
    #expect(folder.names.isEmpty)
    try #require(mkfifo(folder("pipe"), 0o600) == 0)
    #expect(code { _ = try UpdatableFile(folder("pipe"), end: 0) } == .invalidArgument)
  }
}

@Suite struct AtomicFolderTests {
  @Test func appearsWholeWithItsSubfolders() throws {
    let folder = TemporaryFolder()
    let output = try AtomicFolder(folder("out/"))
    for name in ["a", "b/c", "b/d/e"] {
      let file = try output.makeFile(CarriedFileName(name))
      try file.write(Array(name.utf8))
      try file.commit()
    }
    #expect(!folder.names.contains("out"))
    try output.commit()
    #expect(folder.names == ["out"])
    #expect(try FileTree.names(in: folder("out")) == ["a", "b"])
    #expect(try contents(folder("out/b/d/e")) == Array("b/d/e".utf8))
  }

  @Test func leavesNothingWhenDropped() throws {
    let folder = TemporaryFolder()
    do {
      let output = try AtomicFolder(folder("out"))
      try put([1], at: FileTree.join(output.staging, "f"))
    }
    #expect(folder.names.isEmpty)
  }

  /// The staging folder is removed under the writer's hands.
  @Test func errorsNameThePathThatWasGiven() throws {
    let folder = TemporaryFolder()
    let output = try AtomicFolder(folder("out"))
    let file = try output.makeFile(CarriedFileName("a/b"))
    #expect(file.path == folder("out/a/b"))
    try FileTree.remove(output.staging)
    #expect(failure { try file.commit() }?.file == folder("out/a/b"))
    #expect(failure { _ = try output.makeFile(CarriedFileName("c")) }?.file == folder("out/c"))
    #expect(failure { _ = try output.makeFile(CarriedFileName("d/e")) }?.file == folder("out"))
    #expect(failure { try output.commit() }?.file == folder("out"))
  }

  @Test func replacesAFolderOnlyWhenAsked() throws {
    let folder = TemporaryFolder()
    try FileTree.makeFolder(folder("out"))
    try AtomicFolder(folder("out")).commit()  // An empty one may be replaced.
    try put([1], at: folder("out/old"))
    #expect(code { _ = try AtomicFolder(folder("out")) } == .outputExists)
    let output = try AtomicFolder(folder("out"), replacing: { $0 == "old" })
    try put([2], at: FileTree.join(output.staging, "new"))
    #expect(try FileTree.names(in: folder("out")) == ["old"])
    try output.commit()
    #expect(try FileTree.names(in: folder("out")) == ["new"])
    #expect(folder.names == ["out"])
  }

  @Test func neverReplacesWhatIsNotItsOwn() throws {
    let folder = TemporaryFolder()
    try FileTree.makeFolder(folder("out"))
    try FileTree.makeFolder(folder("out/logs"))
    try put([1], at: folder("out/old"))
    func begin() throws -> AtomicFolder { try AtomicFolder(folder("out"), replacing: { $0 == "old" }) }
    let output = try begin()
    try put([2], at: folder("out/logs/day"))
    // Also what appears while the new folder is being written.
    let late = try #require(failure { try output.commit() })
    #expect(late.code == .outputExists && late.message.contains("logs/day"))
    #expect(failure { _ = try begin() }?.message.contains("logs/day") == true)
    #expect(try contents(folder("out/logs/day")) == [2])
    #expect(try contents(folder("out/old")) == [1])
  }

  @Test func keepsAFolderThatAppearedMeanwhile() throws {
    let folder = TemporaryFolder()
    do {
      let output = try AtomicFolder(folder("out"))
      try FileTree.makeFolder(folder("out"))
      try put([1], at: folder("out/theirs"))
      #expect(code { try output.commit() } == .outputExists)
    }
    #expect(folder.names == ["out"])
    #expect(try FileTree.names(in: folder("out")) == ["theirs"])
  }

  @Test func goesWhereALinkLeads() throws {
    let folder = TemporaryFolder()
    try FileTree.makeFolder(folder("real"))
    #expect(symlink("real", folder("link")) == 0)
    let output = try AtomicFolder(folder("link"))
    try put([1], at: FileTree.join(output.staging, "f"))
    try output.commit()
    #expect(folder.names == ["link", "real"])
    #expect(try FileTree.names(in: folder("real")) == ["f"])
  }

  @Test func refusesAtOnceWhatCannotBeReplaced() throws {
    let folder = TemporaryFolder()
    try put([1], at: folder("file"))
    #expect(symlink("nowhere", folder("dangling")) == 0)
    #expect(code { _ = try AtomicFolder(folder("file"), replacing: { _ in true }) } == .outputExists)
    #expect(code { _ = try AtomicFolder(folder("dangling")) } == .outputExists)
    #expect(code { _ = try AtomicFolder("/", replacing: { _ in true }) } == .invalidArgument)
    for here in [".", ".."] {
      #expect(code { _ = try AtomicFolder(here, replacing: { _ in true }) } == .invalidArgument)
    }
    #expect(code { _ = try AtomicFolder("") } == .invalidArgument)
    #expect(code { _ = try AtomicFolder(folder("no/out")) } == .notFound)
    #if os(Linux)
      #expect(code { _ = try AtomicFolder("/proc", replacing: { _ in true }) } == .invalidArgument)
    #endif
    #expect(folder.names == ["dangling", "file"])
  }
}

@Suite struct FileTreeTests {
  @Test func splitsPaths() {
    for (path, parent, last) in [
      ("a", ".", "a"), ("a/", ".", "a"), ("/a", "/", "a"), ("a/b", "a", "b"), ("/a/b//", "/a", "b"), ("/", "/", "/"),
    ] {
      #expect(FileTree.parent(path) == parent, "\(path)")
      #expect(FileTree.lastComponent(path) == last, "\(path)")
    }
  }

  @Test func removesLinksWithoutFollowingThem() throws {
    let folder = TemporaryFolder()
    try FileTree.makeFolder(folder("kept"))
    try put([1], at: folder("kept/f"))
    try FileTree.makeFolder(folder("gone"))
    #expect(symlink("../kept", folder("gone/link")) == 0)
    #expect(FileTree.linkTarget(of: folder("gone/link")) == "../kept")
    #expect(FileTree.linkTarget(of: folder("kept")) == nil)
    try FileTree.remove(folder("gone"))
    #expect(folder.names == ["kept"])
    #expect(try contents(folder("kept/f")) == [1])
  }
}

@Suite struct CarriedFileNameTests {
  @Test(arguments: ["config.json", "1_Pooling/config.json", "a b", "é/😀", "..a", "a..", ".hidden", "a:b"])
  func accepts(_ name: String) throws {
    #expect(try CarriedFileName(name).text == name)
  }

  @Test(arguments: [
    "", "/", "/etc/passwd", ".", "..", "a/..", "../a", "a/../b", "./a", "a/", "a//b", "a\\b", "..\\a", "a\0", "a\nb",
    "\u{7F}", "\u{85}",
  ])
  func refuses(_ name: String) {
    #expect(code { _ = try CarriedFileName(name) } == .malformed)
  }

  @Test func boundsLengthAndDepth() throws {
    _ = try CarriedFileName(String(repeating: "a", count: Limits.nameBytes))
    #expect(code { _ = try CarriedFileName(String(repeating: "a", count: Limits.nameBytes + 1)) } == .limitExceeded)
    #expect(code { _ = try CarriedFileName(String(repeating: "a/", count: 8) + "a") } == .limitExceeded)
  }
}
