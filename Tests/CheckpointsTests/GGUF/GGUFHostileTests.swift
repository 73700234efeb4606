import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Files that want to trap, hang or fill the memory.
@Suite struct GGUFHostileTests {
  struct Sample: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: StorageError.Code
    let file: [UInt8]

    init(_ defect: String, _ code: StorageError.Code, _ file: [UInt8]) {
      testDescription = defect
      self.code = code
      self.file = file
    }
  }

  /// One entry `k` of an array whose header is written by `body`.
  private static func array(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    gguf(entries: 1) { file in
      file.string("k")
      file.integer(UInt32(9))
      body(&file)
    }
  }

  private static func alignment(_ value: UInt32, type: UInt32 = 4) -> [UInt8] {
    gguf(tensors: 1, entries: 1, dataBytes: 64) { file in
      file.string("general.alignment")
      file.integer(type)
      file.integer(value)
      file.tensor("t", [4])
    }
  }

  private static func one(
    _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, dataBytes: Int = 64
  ) -> [UInt8] {
    gguf(tensors: 1, dataBytes: dataBytes) { $0.tensor("t", dimensions, type: type, offset: offset) }
  }

  static let samples: [Sample] = [
    Sample("version 0", .unsupportedVersion, gguf(version: 0) { _ in }),
    Sample("version 1", .unsupportedVersion, gguf(version: 1) { _ in }),
    Sample("version 4", .unsupportedVersion, gguf(version: 4) { _ in }),
    Sample("version 1, big-endian", .unsupportedVersion, gguf(version: 1 << 24) { _ in }),
    Sample("2⁵⁶ tensors, big-endian", .limitExceeded, gguf(version: 3 << 24, tensors: 1) { _ in }),
    Sample(
      "a quantised tensor, big-endian", .unsupportedFeature,
      gguf(version: 3 << 24, tensors: UInt64(1).byteSwapped, dataBytes: 64) { file in
        file.integer(UInt64(1).bigEndian)
        file.append("t".utf8)
        file.integer(UInt32(1).bigEndian)
        file.integer(UInt64(32).bigEndian)
        file.integer(UInt32(8).bigEndian)
        file.integer(UInt64(0))
      }),
    Sample("2⁶² tensors", .limitExceeded, gguf(tensors: 1 << 62) { _ in }),
    Sample("2⁶⁴ − 1 tensors", .limitExceeded, gguf(tensors: .max) { _ in }),
    Sample("2¹⁶ tensors in nothing", .truncated, gguf(tensors: 1 << 16) { _ in }),
    Sample("2⁶² entries", .limitExceeded, gguf(entries: 1 << 62) { _ in }),
    Sample("65536 entries in nothing", .truncated, gguf(entries: 65_536) { _ in }),
    Sample(
      "a key of 2⁶³ bytes", .limitExceeded,
      gguf(entries: 1, dataBytes: 32) { $0.integer(UInt64(1) << 63) }),
    Sample(
      "a string of 2⁶³ bytes", .limitExceeded,
      gguf(entries: 1) { file in
        file.string("k")
        file.integer(UInt32(8))
        file.integer(UInt64(1) << 63)
      }),
    Sample(
      "a string longer than the file", .truncated,
      gguf(entries: 1) { file in
        file.string("k")
        file.integer(UInt32(8))
        file.integer(UInt64(1_000_000))
      }),
    Sample(
      "a string that is not UTF-8", .malformed,
      gguf(entries: 1) { file in
        file.string("k")
        file.integer(UInt32(8))
        file.integer(UInt64(2))
        file.append([0xC3, 0x28])
      }),
    Sample("an empty key", .malformed, gguf(entries: 1, dataBytes: 32) { $0.string("") }),
    Sample(
      "a key twice", .malformed,
      gguf(entries: 2) { file in
        for _ in 0..<2 {
          file.string("k")
          file.integer(UInt32(0))
          file.integer(UInt8(1))
        }
      }),
    Sample(
      "a value of type 13", .malformed,
      gguf(entries: 1, dataBytes: 32) { file in
        file.string("k")
        file.integer(UInt32(13))
      }),
    Sample(
      "a boolean of 2", .malformed,
      gguf(entries: 1) { file in
        file.string("k")
        file.integer(UInt32(7))
        file.integer(UInt8(2))
      }),
    Sample(
      "an array of 2⁶² numbers", .truncated,
      array {
        $0.integer(UInt32(10))
        $0.integer(UInt64(1) << 62)
      }),
    Sample(
      "an array of 2⁶⁴ − 1 bytes", .truncated,
      array {
        $0.integer(UInt32(0))
        $0.integer(UInt64.max)
      }),
    Sample(
      "an array of 2⁶³ strings", .truncated,
      array {
        $0.integer(UInt32(8))
        $0.integer(UInt64(1) << 63)
      }),
    Sample(
      "a million arrays in one another", .limitExceeded,
      array { file in
        for _ in 0..<1_000_000 {
          file.integer(UInt32(9))
          file.integer(UInt64(1))
        }
      }),
    Sample(
      "three million empty strings", .limitExceeded,
      array { file in
        file.integer(UInt32(8))
        file.integer(UInt64(3_000_000))
        file.zeros(8 * 3_000_000)
      }),
    Sample(
      "three million empty arrays in many", .limitExceeded,
      array { file in
        file.integer(UInt32(9))
        file.integer(UInt64(3))
        for _ in 0..<3 {
          file.integer(UInt32(9))
          file.integer(UInt64(1_000_000))
          file.zeros(12 * 1_000_000)
        }
      }),
    Sample("an alignment of 0", .malformed, alignment(0)),
    Sample("an alignment of 24", .malformed, alignment(24)),
    Sample("an alignment of 2³¹", .limitExceeded, alignment(1 << 31)),
    Sample("a signed alignment", .malformed, alignment(32, type: 5)),
    Sample("17 dimensions", .limitExceeded, one([UInt64](repeating: 1, count: 17))),
    Sample("a dimension of 2⁶³", .malformed, one([1 << 63])),
    Sample("dimensions whose product is 2⁶⁴", .malformed, one([1 << 32, 1 << 32])),
    Sample("dimensions whose product is 0 modulo 2⁶⁴", .malformed, one([1 << 31, 1 << 31, 4])),
    Sample("dimensions whose bytes overflow", .malformed, one([1 << 62])),
    Sample("more bytes than the file has", .truncated, one([17])),
    Sample("quantised bytes that overflow", .malformed, one([1 << 62, 2], type: 10)),
    Sample("a row of 31 elements in blocks", .malformed, one([31], type: 8)),
    Sample("whole blocks, but not in a row", .malformed, one([16, 2], type: 8)),
    Sample("an offset past the end", .truncated, one([1], offset: 64)),
    Sample("an offset of 2⁶⁴ − 32", .malformed, one([16], offset: 0 &- 32)),
    Sample("an offset of 2⁶³", .truncated, one([1], offset: 1 << 63)),
    Sample("an offset that is not aligned", .malformed, one([1], offset: 4)),
    Sample("type 9", .unsupportedFeature, one([32], type: 9)),
    Sample("type 2³² − 1", .unsupportedFeature, one([32], type: .max)),
    Sample(
      "a tensor twice", .malformed,
      gguf(tensors: 2, dataBytes: 64) { file in
        file.tensor("t", [1])
        file.tensor("t", [1], offset: 32)
      }),
    Sample(
      "tensors that share a byte", .malformed,
      gguf(tensors: 2, dataBytes: 128) { file in
        file.tensor("a", [9], offset: 0)
        file.tensor("b", [8], offset: 32)
      }),
    Sample(
      "tensors in the same place", .malformed,
      gguf(tensors: 2, dataBytes: 128) { file in
        file.tensor("a", [1])
        file.tensor("b", [1])
      }),
    Sample(
      "a name of 1025 bytes", .limitExceeded,
      gguf(tensors: 1, dataBytes: 64) { $0.tensor(String(repeating: "n", count: 1025), [1]) }),
  ]

  @Test(arguments: samples) func refuses(_ sample: Sample) throws {
    let folder = TemporaryFolder()
    try put(sample.file, at: folder("m"))
    for mode in InputMode.allCases {
      let error = failure { _ = try GGUFFile(folder("m"), mode: mode) }
      #expect(error?.code == sample.code, "\(error?.description ?? "no error")")
      #expect(error?.file == folder("m"))
    }
  }

  @Test func opensWhatTheDocumentAllows() throws {
    let folder = TemporaryFolder()
    // Tensors in another order, a hole, no padding at the end, an empty tensor that begins beyond it.
    let file = gguf(tensors: 3, dataBytes: 100) { file in
      file.tensor("b", [1], offset: 96)
      file.tensor("a", [2, 3], type: 24, offset: 32)
      file.tensor("none", [0, 7], offset: 0 &- 32)
    }
    try put(file, at: folder("m"))
    for mode in InputMode.allCases {
      let opened = try GGUFFile(folder("m"), mode: mode)
      #expect(opened.tensors.map(\.name) == ["a", "b", "none"])
      #expect(opened.tensors[0].shape.dimensions == [3, 2])
      #expect(try bytes(of: opened, "b") == [0, 0, 0, 0])
      #expect(try bytes(of: opened, "none") == [])
    }
  }

  @Test(arguments: GGUFFixtureTests.names) func endsWithAnErrorAtEveryLength(_ name: String) throws {
    let folder = TemporaryFolder()
    let whole = try contents(ForeignFixtures.gguf("\(name).gguf"))
    try put(whole, at: folder("m"))
    var opened = 0
    for length in stride(from: whole.count - 1, through: 1, by: -1) {
      #expect(truncate(folder("m"), length) == 0)
      for mode in [InputMode.mmap, .read] {
        let error = failure {
          try readAll(GGUFFile(folder("m"), mode: mode))
          opened += 1
        }
        #expect(error == nil || error?.code == .truncated)
      }
    }
    // Only zeros after the last tensor can be missing.
    #expect(opened < 2 * 256)
  }

  /// Flipped bits may give other values, names or shapes, but no trap, and no reading beyond the file.
  @Test(arguments: GGUFFixtureTests.names) func survivesEveryFlippedByte(_ name: String) throws {
    let folder = TemporaryFolder()
    let whole = try contents(ForeignFixtures.gguf("\(name).gguf"))
    try put(whole, at: folder("m"))
    let file = open(folder("m"), O_WRONLY)
    defer { close(file) }
    let headerBytes = whole.count - Int(try dataBytes(of: whole))
    for place in 0..<headerBytes {
      for mask: UInt8 in [0xFF, 0x01, 0x80] {
        var byte = whole[place] ^ mask
        pwrite(file, &byte, 1, off_t(place))
        for mode in [InputMode.mmap, .read] {
          let error = failure { try readAll(GGUFFile(folder("m"), mode: mode)) }
          #expect(error == nil || [.format, .unsupported, .limits].contains(error!.code.family))
        }
      }
      var byte = whole[place]
      pwrite(file, &byte, 1, off_t(place))
    }
  }

  private func dataBytes(of file: [UInt8]) throws -> UInt64 {
    try file.withBytes { raw throws(StorageError) in
      var input = ByteReader(raw)
      let header = try GGUFHeader(parsing: &input, fileSize: UInt64(file.count))
      return UInt64(file.count) - input.offset.roundedUp(toMultipleOf: UInt64(header.alignment))
    }
  }

  private func readAll(_ file: GGUFFile) throws {
    for info in file.tensors {
      #expect(info.byteCount < 1 << 20)
      try file.bytes(of: info).withBytes { #expect($0.count == info.byteCount) }
    }
  }
}
