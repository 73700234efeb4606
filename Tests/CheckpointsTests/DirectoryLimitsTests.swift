import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

/// Limits on what a GGUF header or a ZIP directory lists.
@Suite struct DirectoryLimitsTests {
  private func error(_ file: [UInt8]) throws -> StorageError? {
    let folder = TemporaryFolder()
    try put(file, at: folder("file"))
    return failure { _ = try Checkpoint.open(folder("file")) }
  }

  @Test func boundsTheKeysOfGGUFTogether() throws {
    func file(_ keyBytes: Int) -> [UInt8] {
      let longest = 60_000
      var output = ByteWriter()
      output.append(Array("GGUF".utf8))
      output.integer(UInt32(3))
      output.integer(UInt64(0))
      output.integer(UInt64((keyBytes + longest - 1) / longest))
      for start in stride(from: 0, to: keyBytes, by: longest) {
        let name = String(start) + "."
        let count = min(longest, keyBytes - start)
        output.integer(UInt64(count))
        output.append(name.utf8)
        output.append(repeatElement(UInt8(ascii: "k"), count: count - name.utf8.count))
        output.integer(UInt32(0))
        output.append([0])
      }
      output.zeros(64)
      return output.bytes
    }
    let refusal = try error(file(Limits.metadataNameBytes + 1))
    #expect(refusal?.code == .limitExceeded)
    #expect(refusal?.message.contains("the size of the keys") == true)
    #expect(refusal?.offset != nil)
    #expect(try error(file(Limits.metadataNameBytes))?.code != .limitExceeded)
  }

  @Test(arguments: [
    (UInt64(Limits.zipEntries + 1), 0, "the number of entries"),
    (1, UInt64(Limits.zipDirectoryBytes + 1), "the size of the central directory"),
  ])
  func boundsTheDirectoryOfAZIP(_ entries: UInt64, _ byteCount: UInt64, _ what: String) throws {
    var output = ByteWriter()
    output.append(Array("PK".utf8) + [3, 4])
    output.zeros(Int(byteCount))
    let end = UInt64(output.bytes.count)
    output.integer(UInt32(0x0606_4B50))
    output.integer(UInt64(44))
    output.integer(UInt16(45))
    output.integer(UInt16(45))
    output.zeros(8)
    for value in [entries, entries, byteCount, end - byteCount] { output.integer(value) }
    output.integer(UInt32(0x0706_4B50))
    output.zeros(4)
    output.integer(end)
    output.integer(UInt32(1))
    output.integer(UInt32(0x0605_4B50))
    output.zeros(4)
    for _ in 0..<2 { output.integer(UInt16.max) }
    for _ in 0..<2 { output.integer(UInt32.max) }
    output.zeros(2)
    let refusal = try error(output.bytes)
    #expect(refusal?.code == .limitExceeded)
    #expect(refusal?.message.contains(what) == true, "\(String(describing: refusal))")
  }
}
