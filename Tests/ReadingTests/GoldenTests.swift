import ArchiveSupport
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackReading
import TestSupport
import Testing

@Suite struct GoldenTests {
  @Test func thereIsOneForEachFeature() {
    #expect(Golden.all.count >= 29 && Golden.all.allSatisfy { !$0.mixes.isEmpty })
  }

  // TMP-11-12: "differ by less than 10⁻⁶".
  @Test(arguments: Golden.all.filter { !$0.routes.isEmpty }) func routesAlike(_ golden: Golden) throws {
    let router = try Router(golden.open())
    for route in golden.routes {
      let routing = try router.route(Embeddings(route.inputs, dimension: router.dimension), pooling: .all)[0]
      let expected = try weights(route.weights)
      #expect(abs(routing.entropy - route.entropy) < 1e-6)
      #expect(routing.weights.entries.map(\.name) == expected.entries.map(\.name))
      for (own, other) in zip(routing.weights.entries, expected.entries) {
        #expect(abs(own.weight - other.weight) < 1e-6)
      }
    }
  }

  // TMP-3-6: the root digest names the content. TMP-7: the same bits forever.
  @Test(arguments: Golden.all, [InputMode.mmap, .read]) func readsToTheSameBits(_ golden: Golden, _ mode: InputMode)
    throws
  {
    let archive = try golden.open(mode: mode)
    #expect(archive.rootDigest.hexadecimal == golden.root)
    let index = archive.file.slot.index
    let stored = try ReadableFile(golden.path).bytes(at: index.offset, count: index.storedSize)
    #expect(ContentDigest(of: stored) == archive.rootDigest)
    for memoryLimit in [Int.max, 2000, 0] {
      let reconstructor = try Reconstructor(archive, memoryLimit: memoryLimit)
      for mix in golden.mixes {
        #expect(try digests(of: reconstructor.mix(weights(mix.weights))) == mix.digests, "\(mix.weights)")
      }
      // TMP-7-14
      for exact in golden.exact { #expect(try digests(of: reconstructor.exact(exact.expert)) == exact.digests) }
    }
  }

  // TMP-8-3
  @Test(arguments: Golden.all) func isSound(_ golden: Golden) throws {
    let report = try Verification(golden.open()).run(.deep)
    #expect(report.isSound, "\(report.faults)")
    #expect(try report.usableExperts == golden.open().experts.map(\.name))
  }

  // TMP-6-14: what golden files of `difference` hold includes NaNs, infinities and negative zeros.
  @Test func appendedArchivesHaveTwoSlots() throws {
    // TMP-2-3, TMP-2-4: the valid slot of the greatest generation is active.
    let archive = try #require(Golden.all.first { $0.name == "two-generations" }).open()
    #expect(archive.file.slot.generation == 2)
    #expect(archive.file.slots.residue.isEmpty)
    #expect(archive.experts.map(\.name) == ["old", "new"])
  }

  // TMP-6-19 to TMP-6-21, TMP-5-10, TMP-5-11: the archives hold what they are there for.
  @Test func everyFactorAndFilterIsThere() throws {
    var kinds: Set<StoredFactor.Kind> = []
    var filters: Set<FrameFilter> = []
    for golden in Golden.all {
      let archive = try golden.open()
      filters.formUnion(try archive.file.sharedSection().frames.map(\.filter))
      for position in archive.experts.indices {
        let section = try archive.file.expertSection(position)
        kinds.formUnion(section.manifest.tensors.map(\.factor.kind))
        filters.formUnion(section.frames.map(\.filter))
      }
    }
    #expect(kinds == Set(StoredFactor.Kind.allCases))
    #expect(filters.isSuperset(of: [.rotatedPlanes(width: 2), .rotatedPlanes(width: 4), .rotatedPlanes(width: 8)]))
    #expect(filters.isSuperset(of: [.magnitudes(width: 2), .magnitudes(width: 4), .magnitudes(width: 8)]))
    #expect(filters.isSuperset(of: [.none, .bytePlanes(width: 4)]))
  }

  // TMP-5-3, TMP-5-4: raw frames begin at multiples of 64; equal frames are stored once.
  @Test func framesAreWhereTheyShouldBe() throws {
    let archive = try #require(Golden.all.first { $0.name == "frames" }).open()
    let section = try archive.file.sharedSection()
    let raw = section.frames.filter { $0.rawSize == $0.extent.storedSize }
    #expect(raw.count == 2 && raw.allSatisfy { $0.extent.offset % 64 == 0 })
    #expect(section.manifest.entry(named: "long")?.payload?.count == 2)
    let tied = try #require(Golden.all.first { $0.name == "tied" }).open()
    let frames = try tied.file.sharedSection().frames
    #expect(frames.count == 2 && frames[0].extent == frames[1].extent)
    #expect(try tied.manifest(ofExpert: "b").tensors.isEmpty)
    #expect(
      try tied.file.expertSection(0).frames.map(\.extent) == tied.file.expertSection(2).frames.map(\.extent))
  }
}
