import TMPackByteIO
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@Suite struct GrowingFileTests {
  let folder = TemporaryFolder()

  @Test func keepsWhatWasAppended() throws {
    do {
      let file = try GrowingFile(folder("f"))
      #expect(try file.append([1, 2, 3]) == 0)
      #expect(try file.append([4, 5]) == 3)
      #expect(try file.read(at: 1, count: 3) == [2, 3, 4] as [UInt8])
      #expect(try file.withBytes(at: 3, count: 2) { Array($0) } == [4, 5])
      #expect(code { let _: [UInt8] = try file.read(at: 4, count: 2) } == .truncated)
    }
    let file = try GrowingFile(folder("f"))
    #expect(file.size == 5)
    try file.truncate(at: 2)
    #expect(try file.append([9]) == 2)
    #expect(try contents(folder("f")) == [1, 2, 9])
  }

  @Test func hasOneWriter() throws {
    let file = try GrowingFile(folder("f"))
    #expect(code { _ = try GrowingFile(folder("f")) } == .inputOutput)
    // Another file of the name is free.
    try file.move(to: folder("g"), replacing: false)
    let second = try GrowingFile(folder("f"))
    #expect(second.size == 0)
    #expect(folder.names == ["f", "g"])
    #expect(code { try second.move(to: folder("g"), replacing: false) } == .outputExists)
    try second.append([7])
    try second.move(to: folder("g"), replacing: true)
    #expect(try contents(folder("g")) == [7])
    #expect(folder.names == ["g"])
  }

  @Test func isRemovedOnRequestOnly() throws {
    let file = try GrowingFile(folder("f"))
    try file.append([1])
    try file.remove()
    #expect(folder.names.isEmpty)
    #expect(try file.read(at: 0, count: 1) == [1] as [UInt8])
  }

  @Test func refusesWhatIsNoFile() throws {
    try #require(mkfifo(folder("pipe"), 0o600) == 0)
    #expect(code { _ = try GrowingFile(folder("pipe")) } == .invalidArgument)
    #expect(code { _ = try GrowingFile(folder.path) } == .inputOutput)
    #expect(code { _ = try GrowingFile(folder("no/such")) } == .notFound)
  }
}
