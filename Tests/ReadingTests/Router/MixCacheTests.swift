import Synchronization
import ArchiveSupport
import TMPackByteIO
import TMPackParallel
import TMPackReading
import TestSupport
import Testing

@Suite struct MixCacheTests {
  let archive: RoutedArchive
  let reconstructor: Reconstructor

  init() throws {
    archive = try RoutedArchive(["a", "b", "c"])
    reconstructor = try Reconstructor(archive.open())
  }

  private func weights(_ a: Float, _ b: Float = 0) throws -> RouterWeights { try RouterWeights([("a", a), ("b", b)]) }

  @Test func givesWhatReconstructionGives() throws {
    let cache = try MixCache(reconstructor, memoryLimit: 1 << 20, resolution: 4)
    for (a, b) in [(0.5, 0.5), (1, 0), (0, 0), (0.25, -0.75)] as [(Float, Float)] {
      let own = try weights(a, b)
      for _ in 0..<2 {
        let entry = try cache.mix(own)
        #expect(try digests(of: entry.source) == digests(of: reconstructor.mix(own)))
        #expect(try entry.source.metadata == (reconstructor.mix(own)).metadata)
      }
    }
    #expect(cache.statistics.hits == 4 && cache.statistics.misses == 4)
  }

  // What an input gets does not depend on what came before.
  @Test func mixesTheRoundedWeights() throws {
    let cache = try MixCache(reconstructor, memoryLimit: 1 << 20, resolution: 8)
    let first = try cache.mix(weights(0.51, 0.49))
    let second = try cache.mix(weights(0.49, 0.51))
    #expect(cache.statistics.hits == 1)
    #expect(try first.weights == second.weights && first.weights == (RouterWeights([("a", 0.5), ("b", 0.5)])))
    let other = try MixCache(reconstructor, memoryLimit: 1 << 20, resolution: 8).mix(weights(0.49, 0.51))
    #expect(try digests(of: other.source) == digests(of: first.source))
    // What rounds to nothing is the shared model.
    #expect(try cache.mix(weights(0.01)).weights == .shared)
  }

  @Test func keepsWhatWasUsedLast() throws {
    let one = try MixCache(reconstructor, memoryLimit: 1 << 20).mix(weights(0.5))
    // "w" and "b" are summed up, "same" is the shared model's and "ids" the expert's own.
    #expect(one.byteCount == 30 * 4 + 6 * 2)
    let cache = try MixCache(reconstructor, memoryLimit: 2 * one.byteCount, resolution: 8)
    for weight in [0.125, 0.25, 0.125, 0.375, 0.125] as [Float] { _ = try cache.mix(weights(weight)) }
    let seen = cache.statistics
    #expect(seen.hits == 2 && seen.misses == 3 && seen.evictions == 1 && seen.entries == 2)
    #expect(seen.byteCount == 2 * one.byteCount)
    _ = try cache.mix(weights(0.25))
    #expect(cache.statistics.misses == 4 && cache.statistics.byteCount <= cache.memoryLimit)
    // Too large to be kept at all.
    let none = try MixCache(reconstructor, memoryLimit: one.byteCount - 1)
    for _ in 0..<2 { _ = try none.mix(weights(0.5)) }
    #expect(none.statistics.misses == 2 && none.statistics.entries == 0)
    // The shared model takes no memory of its own.
    _ = try none.mix(.shared)
    #expect(none.statistics.entries == 1 && none.statistics.byteCount == 0)
  }

  @Test func copiesAllWhereNothingIsKept() throws {
    let own = try Reconstructor(archive.open(), memoryLimit: 0)
    let entry = try MixCache(own, memoryLimit: 1 << 20).mix(weights(0.5))
    #expect(entry.byteCount == entry.source.tensors.reduce(0) { $0 + $1.byteCount })
  }

  @Test func refusesWhatItCannotTellApart() throws {
    #expect(code { _ = try MixCache(reconstructor, memoryLimit: -1) } == .invalidArgument)
    #expect(code { _ = try MixCache(reconstructor, memoryLimit: 1, resolution: 0) } == .invalidArgument)
    let cache = try MixCache(reconstructor, memoryLimit: 1 << 20)
    #expect(code { _ = try cache.mix(RouterWeights([("x", 1)])) } == .unknownName)
    #expect(code { _ = try cache.mix(weights(1e30)) } == .invalidArgument)
  }

  @Test func servesSeveralThreads() throws {
    let cache = try MixCache(reconstructor, memoryLimit: 800, resolution: 16)
    let expected = try (0..<16).map { try digests(of: reconstructor.mix(weights(Float($0) / 16))) }
    let wrong = Mutex(0)
    try OrderedPipeline(threads: 4).run(400) { number throws(StorageError) -> Int in
      let step = number * 7 % 16
      let entry = try cache.mix(RouterWeights([("a", Float(step) / 16)]))
      let own = (try? digests(of: entry.source)) ?? []
      if own != expected[step] { wrong.withLock { $0 += 1 } }
      return step
    } consume: { _, _ in
    }
    #expect(wrong.withLock { $0 } == 0)
    let seen = cache.statistics
    #expect(seen.hits + seen.misses == 400 && seen.byteCount <= 800)
  }
}
