import TMPackByteIO
import TMPackDigests
import TMPackParallel
import TestSupport
import Testing

@Suite struct ManyDigestsTests {
  private func ofEach(_ messages: [ArraySlice<UInt8>], of bytes: [UInt8], _ method: DigestMethod) -> [ContentDigest] {
    bytes.withUnsafeBytes { raw in
      ContentDigest.ofEach(messages.map { UnsafeRawBufferPointer(rebasing: raw[$0.indices]) }, by: method)
    }
  }

  private func oneByOne(_ messages: [ArraySlice<UInt8>]) -> [ContentDigest] {
    messages.map { ContentDigest(of: [UInt8]($0)) }
  }

  /// FIPS 180-4's examples, as NIST publishes them.
  @Test(arguments: DigestMethod.available) func agreesWithPublishedValues(_ method: DigestMethod) {
    let expected = [
      "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ]
    for (text, digest) in expected {
      let bytes = Array(text.utf8)
      let digests = ofEach(Array(repeating: bytes[...], count: 20), of: bytes, method)
      #expect(digests.map(\.hexadecimal) == Array(repeating: digest, count: 20), "\(text)")
    }
  }

  /// Every length around one block, two and more, in lanes full and empty, each lane beside others of other lengths.
  @Test(arguments: DigestMethod.available) func everyLength(_ method: DigestMethod) {
    var random = SeededGenerator(seed: 41)
    let bytes = random.bytes(700)
    for count in [0, 1, 6, 7, 8, 15, 16, 17, 301] {
      let messages = (0..<count).map { bytes[$0..<$0 + (count < 301 ? 300 - 13 * $0 : $0)] }
      #expect(ofEach(messages, of: bytes, method) == oneByOne(messages), "\(count) messages")
    }
    for length in 0...300 {
      let messages = (0..<16).map { bytes[$0..<$0 + length] }
      #expect(ofEach(messages, of: bytes, method) == oneByOne(messages), "\(length) bytes")
    }
  }

  @Test(arguments: DigestMethod.available) func lengthsAtRandom(_ method: DigestMethod) {
    var random = SeededGenerator(seed: 42)
    let bytes = random.bytes(1 << 18)
    for _ in 0..<40 {
      let most = [100, 5_000, bytes.count / 2].randomElement(using: &random)!
      let messages = (0..<Int.random(in: 1...60, using: &random)).map { _ in
        let start = Int.random(in: 0..<bytes.count / 2, using: &random)
        return bytes[start..<start + Int.random(in: 0...most, using: &random)]
      }
      #expect(ofEach(messages, of: bytes, method) == oneByOne(messages))
    }
  }

  /// Each bit of each lane counts, in its lane alone.
  @Test(arguments: DigestMethod.available) func everyBitCounts(_ method: DigestMethod) {
    var random = SeededGenerator(seed: 43)
    var bytes = random.bytes(16 * 130)
    let before = ofEach(lanes(of: bytes), of: bytes, method)
    for bit in stride(from: 0, to: 8 * bytes.count, by: 7) {
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let after = ofEach(lanes(of: bytes), of: bytes, method)
      #expect(
        zip(before, after).enumerated().allSatisfy { ($0.element.0 == $0.element.1) == ($0.offset != bit / 8 / 130) })
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    }
  }

  private func lanes(of bytes: [UInt8]) -> [ArraySlice<UInt8>] { (0..<16).map { bytes[130 * $0..<130 * ($0 + 1)] } }

  /// Ranges of files: empty, shorter and longer than what is read at a time, on one thread and on several.
  @Test func rangesOfFiles() throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 44)
    let bytes = random.bytes(3 << 20)
    let path = folder("bytes")
    try put(bytes, at: path)
    for mode in [InputMode.read, .mmap] {
      let file = try ReadableFile(path, mode: mode)
      var ranges = [0, 1, 64, 32 << 10, (32 << 10) + 1, 100_000, 1 << 20].flatMap { count in
        [0, 7, 1 << 20].map { FileRange(file, at: $0, count: count) }
      }
      ranges.append(FileRange(file))
      let expected = ranges.map { ContentDigest(of: [UInt8](bytes[Int($0.offset)..<Int($0.offset) + $0.count])) }
      for method in DigestMethod.available { #expect(try ContentDigest.ofEach(ranges, by: method) == expected) }
      for threads in 1...4 {
        for count in [0, 1, 9, ranges.count] {
          var found: [ContentDigest] = []
          try OrderedPipeline(threads: threads).digest(Array(ranges.prefix(count))) { index, digest in
            #expect(index == found.count)
            found.append(digest)
          }
          #expect(found == Array(expected.prefix(count)), "\(threads) threads")
        }
      }
    }
  }

  @Test(arguments: DigestMethod.available) func aFileThatEndsBeforeIsAnError(_ method: DigestMethod) throws {
    let folder = TemporaryFolder()
    let path = folder("bytes")
    try put([UInt8](repeating: 1, count: 100_000), at: path)
    let file = try ReadableFile(path, mode: .read)
    let ranges = (0..<10).map { FileRange(file, at: UInt64(10_000 * $0), count: 11_000) }
    let error = #expect(throws: StorageError.self) { try ContentDigest.ofEach(ranges, by: method) }
    #expect(error?.code == .truncated && error?.file == path)
  }
}
