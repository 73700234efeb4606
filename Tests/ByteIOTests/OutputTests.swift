import TMPackByteIO
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@Suite struct OutputTests {
  let folder = TemporaryFolder()

  private func file(_ name: String, _ bytes: [UInt8], replacing: Bool = false) throws -> AtomicFile {
    let file = try AtomicFile(folder(name), replacing: replacing)
    try file.write(bytes)
    return file
  }

  @Test func outputsAppearTogether() throws {
    let output = try AtomicFolder(folder("out"))
    let inner = try output.makeFile(CarriedFileName("f"))
    try inner.write([1])
    try inner.commit()
    try commitTogether([output, file("a", [2]), file("b", [3])])
    #expect(folder.names == ["a", "b", "out"])
    #expect(try contents(folder("out/f")) == [1])
  }

  /// The last of them cannot appear: what the others have replaced comes back.
  @Test(arguments: [false, true]) func orNoneOfThem(_ replacing: Bool) throws {
    try FileTree.makeFolder(folder("out"))
    if replacing {
      try put([7], at: folder("a"))
      try put([8], at: folder("out/f"))
    }
    let output = try AtomicFolder(folder("out"), replacing: { _ in true })
    let inner = try output.makeFile(CarriedFileName("f"))
    try inner.write([1])
    try inner.commit()
    let outputs: [any StagedOutput] = [output, try file("a", [2], replacing: replacing), try file("b", [3])]
    try put([9], at: folder("b"))
    #expect(code { try commitTogether(outputs) } == .outputExists)
    withExtendedLifetime(outputs) {}
    #expect(try contents(folder("b")) == [9])
    if replacing {
      #expect(try contents(folder("a")) == [7])
      #expect(try contents(folder("out/f")) == [8])
    } else {
      #expect(FileTree.kind(of: folder("a")) == nil)
    }
  }

  @Test func aFileMayKeepItsNameMeanwhile() throws {
    let file = try AtomicFile(folder("model.bin"), keepingName: true)
    try file.write([1])
    #expect(file.readablePath.hasSuffix("/model.bin"))
    try file.commit()
    #expect(folder.names == ["model.bin"])
    do {
      let dropped = try AtomicFile(folder("other.bin"), keepingName: true)
      try dropped.write([1])
    }
    #expect(folder.names == ["model.bin"])
  }

  /// What a killed run leaves, as nobody holds its lock.
  @Test func leftoversGoWithTheNextRun() throws {
    let abandoned = [".f.0123456789abc-tmpack.tmp", ".f.0123456789abd-tmpack.tmp", ".g.0123456789abc-tmpack.tmp"]
    let others = [".f.tmp", ".f.0123456789abc.tmp", ".f.012-tmpack.tmp", "f.0123456789abc-tmpack.tmp"]
    try FileTree.makeFolder(folder(abandoned[0]))
    try put([1], at: folder(abandoned[0] + "/inside"))
    for name in abandoned.dropFirst() + others { try put([1], at: folder(name)) }
    let live = try file("f", [1])
    #expect(Set(folder.names).isSuperset(of: others + [abandoned[2]]))
    #expect(!folder.names.contains(abandoned[0]) && !folder.names.contains(abandoned[1]))
    // A second run leaves the first one's alone.
    let list = try Leftover.list(in: folder.path)
    #expect(list.map(\.state).sorted { $0.rawValue < $1.rawValue } == [.abandoned, .live])
    let second = try file("f", [2])
    #expect(try Leftover.list(in: folder.path).count { $0.state == .live } == 2)
    try second.commit()
    #expect(code { try live.commit() } == .outputExists)
    #expect(try contents(folder("f")) == [2])
    for leftover in try Leftover.list(in: folder.path) { try leftover.resolve() }
    #expect(Set(folder.names).subtracting(others).count { $0 != "f" } <= 1)
  }

  @Test func stampsTellChanges() throws {
    try put([1, 2, 3], at: folder("f"))
    let stamp = try FileStamp(of: folder("f"))
    try stamp.check()
    usleep(20_000)
    overwriteFile(folder("f"), at: 1, with: [9])
    #expect(code { try stamp.check() } == .inputOutput)
    let second = try FileStamp(of: folder("f"))
    try put([1, 9, 3], at: folder("f"))
    #expect(code { try second.check() } == .inputOutput)
    removeFile(folder("f"))
    #expect(code { try second.check() } == .inputOutput)
  }

  @Test func textComesFromPipesToo() throws {
    try #require(mkfifo(folder("pipe"), 0o600) == 0)
    for (count, limit) in [(3, 10), (200_000, 200_000), (11, 10)] {
      let writer = try Child("/bin/sh", ["-c", "head -c \(count) /dev/zero > '\(folder("pipe"))'"])
      if count > limit {
        #expect(code { _ = try ReadableFile.ofText(folder("pipe"), atMost: limit, "a text") } == .limitExceeded)
      } else {
        let file = try ReadableFile.ofText(folder("pipe"), atMost: limit, "a text")
        #expect(try file.bytes(at: 0, count: Int(file.size)) == [UInt8](repeating: 0, count: count))
      }
      _ = try writer.wait()
    }
  }
}
