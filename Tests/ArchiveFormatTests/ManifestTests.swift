import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit
import TestSupport
import Testing

/// Entries that are made from the text of a section when they are asked for.
@Suite struct ManifestTests {
  private static let provenance = Provenance(tool: "test", options: [:], sources: [])

  /// Names with what a text escapes, of one scalar and of two, below and above the surrogates.
  private static let names: [String] = {
    let parts = ["a", "\"", "\\", "/", "\n", "\u{1}", "é", "e\u{301}", "\u{E000}", "\u{1F600}", "layers.10.weight"]
    let pairs = parts.flatMap { first in parts.map { first + $0 } }
    return (parts + pairs).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }()

  private struct Made {
    var shared: [SharedEntry] = []
    var expert: [ExpertEntry] = []
    var absent: [String] = []
  }

  /// Of the shared tensors an expert replaces the first of three and lacks the second.
  private func write(to path: String) throws -> Made {
    let writer = try ArchiveWriter(creating: path)
    var made = Made()
    for (number, name) in Self.names.enumerated() {
      let bytes = [UInt8](repeating: UInt8(number), count: number % 5)
      made.shared.append(
        SharedEntry(
          info: try info(name, .u8, [bytes.count]), digest: ContentDigest(of: bytes),
          content: .embedded(try writer.place(EncodedPayload(bytes, elementWidth: 1, level: 3)))))
    }
    try writer.finishShared(
      SharedManifest(tensors: made.shared, files: [], metadata: [:], provenance: Self.provenance),
      storage: .embedded, method: SharedMethod(.given))
    for (number, name) in Self.names.enumerated() where number % 3 < 2 {
      guard number % 3 == 0 else {
        made.absent.append(name)
        continue
      }
      let bytes = [UInt8](repeating: 7, count: number % 4 + 1)
      let payload = try writer.place(EncodedPayload(bytes, elementWidth: 1, level: 3))
      made.expert.append(
        ExpertEntry(
          name: name, source: ContentDigest(of: bytes),
          factor: .replaced(dtype: .u8, shape: try Shape([bytes.count]), payload: payload), measures: nil))
    }
    try writer.finishExpert(
      named: "x",
      ExpertManifest(
        tensors: made.expert, absent: made.absent, files: [], metadata: [:], provenance: Self.provenance))
    try writer.commit()
    return made
  }

  @Test func readsTheEntriesThatWereWritten() throws {
    let folder = TemporaryFolder()
    let made = try write(to: folder("a"))
    let archive = try ArchiveFile(folder("a"))
    let shared = try archive.sharedSection().manifest
    #expect(shared.tensors.elementsEqual(made.shared))
    #expect(shared.infos == made.shared.map(\.info))
    let expert = try archive.expertSection(0).manifest
    #expect(expert.tensors.elementsEqual(made.expert))
    #expect(expert.absent == made.absent)
    #expect(expert.unlikeShared == made.expert.map(\.name))
    #expect(expert.isExact && !expert.hasCorrections && expert.required.isEmpty)
  }

  /// TMP-1-8
  @Test func findsEntriesByTheBytesOfTheirNames() throws {
    let folder = TemporaryFolder()
    let made = try write(to: folder("a"))
    let archive = try ArchiveFile(folder("a"))
    let (shared, expert) = (try archive.sharedSection().manifest, try archive.expertSection(0).manifest)
    for (number, name) in Self.names.enumerated() {
      #expect(shared.entry(named: name) == made.shared[number])
      #expect(shared.info(named: name) == made.shared[number].info)
      #expect(expert.entry(named: name) == (number % 3 == 0 ? made.expert[number / 3] : nil))
      #expect(expert.holds(name) == (number % 3 == 0))
      #expect(expert.lacks(name) == (number % 3 == 1))
    }
    for name in ["", "layers", "layers.10.weight0", "\u{10FFFF}", "\u{0}"] {
      #expect(shared.entry(named: name) == nil && !shared.holds(name))
      #expect(expert.entry(named: name) == nil && !expert.holds(name))
    }
  }

  @Test func copiesAManifestThatWasReadToTheByte() throws {
    let folder = TemporaryFolder()
    _ = try write(to: folder("a"))
    let archive = try ArchiveFile(folder("a"))
    let writer = try ArchiveWriter(creating: folder("b"))
    try writer.copyShared(of: archive)
    try writer.copyExpert(0, of: archive)
    try writer.commit()
    #expect(try contents(folder("b")) == contents(folder("a")))
  }

  /// TMP-9-20: one entry may have as many numbers as a tensor has matrices.
  @Test func readsAStackOfManyMatrices() throws {
    let folder = TemporaryFolder()
    let count = 5_000
    let tensor = try info("experts", .f32, [count, 2, 2])
    let writer = try ArchiveWriter(creating: folder("a"))
    try writer.finishShared(
      SharedManifest(
        tensors: [SharedEntry(info: tensor, digest: ContentDigest(of: []), content: .detached(nil))], files: [],
        metadata: [:], provenance: Self.provenance), storage: .detached, method: SharedMethod(.given))
    let stack = try #require(MatrixStack([count, 2, 1, 2, 1], of: tensor.shape.elementCount))
    let ranks = StackRanks(stack, ranks: [Int](repeating: 1, count: count))
    let factor = try FactorLayout(.lowRankStack(ranks, .f32)) { role throws(StorageError) in
      let size = role == .scales ? 4 : 8
      return try writer.place(EncodedPayload([UInt8](repeating: 0, count: count * size), elementWidth: 1, level: 3))
    }
    let entry = ExpertEntry(
      name: "experts", source: ContentDigest(of: [1]), factor: .lossy(factor),
      measures: FactorMeasures(norm: Measure(1), error: Measure(0.5)))
    try writer.finishExpert(
      named: "x",
      ExpertManifest(tensors: [entry], absent: [], files: [], metadata: [:], provenance: Self.provenance))
    try writer.commit()
    let manifest = try ArchiveFile(folder("a")).expertSection(0).manifest
    #expect(manifest.entry(named: "experts") == entry)
    #expect(manifest.required == [.stacks])
  }
}
