import TMPackByteIO
import TMPackZstandard
import TestSupport
import Testing

@Suite struct ZstandardTests {
  private static func decompress(_ stored: [UInt8], size: Int) throws(StorageError) -> [UInt8] {
    // Guard bytes around the target: nothing may be written beyond it.
    var room = [UInt8](repeating: 0xA5, count: size + 128)
    var failure: StorageError?
    room.withUnsafeMutableBytes { room in
      stored.withUnsafeBytes { stored in
        do throws(StorageError) {
          try Zstandard.decompress(stored, into: UnsafeMutableRawBufferPointer(rebasing: room[64..<64 + size]))
        } catch { failure = error }
      }
    }
    #expect(room[..<64].allSatisfy { $0 == 0xA5 } && room[(64 + size)...].allSatisfy { $0 == 0xA5 })
    if let failure { throw failure }
    return Array(room[64..<64 + size])
  }

  private static func compress(_ raw: [UInt8], level: Int = 3) -> [UInt8] {
    raw.withUnsafeBytes { Zstandard.compress($0, .level(level)) }
  }

  private static func sample(_ count: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(count))
    return (0..<count).map { $0 % 7 == 0 ? UInt8.random(in: 0...255, using: &random) : UInt8($0 / 64 & 0xFF) }
  }

  @Test(arguments: [0, 1, 255, 256, 65_791, 65_792, 300_000], [-5, 1, 3, 19])
  func roundTrips(_ count: Int, _ level: Int) throws {
    let raw = Self.sample(count)
    let stored = Self.compress(raw, level: level)
    #expect(stored == Self.compress(raw, level: level))
    #expect(try Self.decompress(stored, size: count) == raw)
    // The content size is that of the record, no more and no less.
    #expect(code { _ = try Self.decompress(stored, size: count + 1) } == .malformed)
    if count > 0 { #expect(code { _ = try Self.decompress(stored, size: count - 1) } == .malformed) }
  }

  // TMP-5-5: the window of what we write stays within 8 MiB, even where the content is more.
  @Test func boundsTheWindow() throws {
    let raw = [UInt8](repeating: 1, count: 20 << 20)
    #expect(try Self.decompress(Self.compress(raw, level: 22), size: raw.count) == raw)
  }

  @Test func refusesEveryTruncation() {
    let raw = Self.sample(500)
    let stored = Self.compress(raw)
    for count in 0..<stored.count {
      #expect(failure { _ = try Self.decompress(Array(stored[..<count]), size: 500) }?.code.family == .format)
    }
  }

  // Every flipped bit is found by the structure or by the checksum; what does not change the content is no fault.
  @Test func findsEveryFlippedBit() {
    let raw = Self.sample(300)
    let stored = Self.compress(raw)
    for place in stored.indices {
      for bit in 0..<8 {
        if let result = try? Self.decompress(stored.flipping(1 << UInt8(bit), at: place), size: 300) {
          #expect(result == raw)
        }
      }
    }
  }
}

@Suite struct BytePlanesTests {
  // TMP-5-7: "byte 0 of every element, then byte 1 of every element, …"
  @Test(arguments: BytePlanes.widths, [0, 1, 2, 3, 17, 1000]) func splitsAndMerges(_ width: Int, _ count: Int) {
    var random = SeededGenerator(seed: 1)
    let elements = random.bytes(width * count)
    var planes = [UInt8](repeating: 0, count: elements.count)
    var merged = planes
    elements.withUnsafeBytes { source in
      planes.withUnsafeMutableBytes { BytePlanes.split(source, width: width, into: $0) }
    }
    #expect(planes == (0..<width).flatMap { plane in (0..<count).map { elements[$0 * width + plane] } })
    planes.withUnsafeBytes { source in
      merged.withUnsafeMutableBytes { BytePlanes.merge(source, width: width, into: $0) }
    }
    #expect(merged == elements)
  }
}

@Suite struct SearchTests {
  private static let searches: [Zstandard.Search] = [.level(1), .level(19), .long, .quick, .none]

  @Test(arguments: searches) func roundTripsWithCuts(_ search: Zstandard.Search) throws {
    var random = SeededGenerator(seed: 3)
    let raw = (0..<300_000).map { UInt8(truncatingIfNeeded: Int(random.noise() * ($0 < 100_000 ? 4 : 60))) }
    let stored = raw.withUnsafeBytes { Zstandard.compress($0, search, cuts: [1, 100_000, 299_999]) }
    #expect(stored.count < raw.count)
    var back = [UInt8](repeating: 0, count: raw.count)
    try back.withUnsafeMutableBytes { room in
      try stored.withUnsafeBytes { try Zstandard.decompress($0, into: room) }
    }
    #expect(back == raw)
  }

  /// What the searches are for: codes alone suit noise, and repetitions need matches.
  @Test func noiseIsSmallestWithoutMatches() {
    var random = SeededGenerator(seed: 4)
    let noise = (0..<200_000).map { _ in UInt8(truncatingIfNeeded: Int(random.noise() * 8)) }
    func size(_ raw: [UInt8], _ search: Zstandard.Search) -> Int {
      raw.withUnsafeBytes { Zstandard.compress($0, search).count }
    }
    #expect(size(noise, .none) < size(noise, .level(3)))
    #expect(size(noise, .none) < size(noise, .quick))
    #expect(size(noise + noise, .quick) < size(noise + noise, .none))
  }
}

@Suite struct BlockCutsTests {
  private static func cuts(_ raw: [UInt8], _ candidates: [Int]) -> BlockCuts {
    raw.withUnsafeBytes { BlockCuts(candidates, in: $0) }
  }

  private static func noise(_ count: Int, _ scale: Float, seed: UInt64) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: Int(random.noise() * scale)) }
  }

  @Test func cutsWhereTheStatisticsChangeOnly() {
    let raw = Self.noise(20_000, 4, seed: 1) + Self.noise(20_000, 40, seed: 2)
    #expect(Self.cuts(raw, Array(stride(from: 1000, to: 40_000, by: 1000))).places == [20_000])
    #expect(Self.cuts(raw, []).places.isEmpty)
    #expect(Self.cuts([], [0]).places.isEmpty)
    #expect(Self.cuts(raw, [0, 1, 39_999, 40_000]).places.isEmpty)
  }

  @Test func estimatesWhatTheCompressorMakes() {
    for scale in [0.7, 1, 4, 20] as [Float] {
      let raw = Self.noise(100_000, scale, seed: 5)
      let stored = raw.withUnsafeBytes { Zstandard.compress($0, .none).count }
      let estimate = Double(Self.cuts(raw, []).bits) / 8
      #expect(abs(estimate / Double(stored) - 1) < 0.05, "scale \(scale): \(estimate), \(stored)")
    }
  }
}
