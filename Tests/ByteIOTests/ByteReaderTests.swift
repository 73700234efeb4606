import TMPackByteIO
import TestSupport
import Testing

@Suite struct ByteReaderTests {
  @Test func readsLittleEndian() throws {
    try ([1, 2, 3, 4, 5, 6, 7, 0xFF] as [UInt8]).withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw, at: 100)
      #expect(try reader.integer(UInt16.self) == 0x0201)
      #expect(reader.offset == 102)
      #expect(try reader.integer(UInt32.self) == 0x0605_0403)
      #expect(try reader.integer(Int16.self) == -249)
      #expect(reader.remaining == 0)
    }
  }

  @Test(arguments: 0..<9) func neverReadsPastTheEnd(_ count: Int) {
    [UInt8](repeating: 1, count: count).withUnsafeBytes { raw in
      var reader = ByteReader(raw, at: 7)
      let fits = count >= 8
      #expect(code { _ = try reader.integer(UInt64.self) } == (fits ? nil : .truncated))
      #expect(reader.offset == (fits ? 15 : 7))
      #expect(code { _ = try reader.take(-1) } == .truncated)
      #expect(code { _ = try reader.take(.max) } == .truncated)
    }
  }

  @Test func namesTheReservedByteThatIsNotZero() throws {
    try ([0, 0, 1, 0] as [UInt8]).withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw, at: 10)
      try reader.zeros(2)
      let error = failure {
        try reader.zeros(2)
      }
      #expect(error?.code == .malformed)
      #expect(error?.offset == 12)
    }
  }

  @Test func writerAndReaderAgree() throws {
    var writer = ByteWriter()
    writer.integer(UInt64(0x0102_0304_0506_0708))
    writer.integer(Int8(-1))
    writer.zeros(3)
    #expect(writer.bytes == [8, 7, 6, 5, 4, 3, 2, 1, 0xFF, 0, 0, 0])
  }

  @Test func arithmeticOnNumbersOfFilesThrows() throws {
    #expect(try UInt64(1).adding(2, "it") == 3)
    #expect(code { _ = try UInt64.max.adding(1, "it") } == .malformed)
    #expect(code { _ = try Int.max.multiplied(by: 2, "it") } == .malformed)
    for (value, expected) in [(0, 0), (1, 64), (64, 64), (65, 128)] {
      #expect(value.roundedUp(toMultipleOf: 64) == expected)
    }
  }
}
