import TMPackByteIO
import TMPackParallel
import TMPackReading
import TestSupport
import Testing

/// Archives as time and cables leave them.
@Suite struct DamageTests {
  /// Small, with pooled frames, a difference and two experts.
  static let golden = "difference-f8_e4m3"

  static func file(_ name: String) throws -> [UInt8] {
    try contents(FileTree.join(packageRoot, "Fixtures/golden/\(name).tmpack"))
  }

  // TMP-2-5, TMP-2-1
  @Test func refusesEveryTruncation() throws {
    let folder = TemporaryFolder()
    let whole = try Self.file(Self.golden)
    putQuickly(whole, at: folder("a"))
    for size in (0..<whole.count).reversed() {
      truncateFile(folder("a"), to: size)
      let error = failure { _ = try Archive(folder("a"), mode: .read) }
      #expect(error?.code == (size < 8 ? .unknownFormat : .truncated), "\(size)")
    }
  }

  // TMP-2-2, TMP-2-6, TMP-2-8, TMP-3-2, TMP-8-2: every byte of a first generation is covered by something.
  @Test(arguments: [0xFF, 1, 0x10] as [UInt8]) func findsEveryFlip(_ mask: UInt8) throws {
    let folder = TemporaryFolder()
    let whole = try Self.file(Self.golden)
    putQuickly(whole, at: folder("a"))
    let archive = try Archive(folder("a"))
    let shared = try archive.file.sharedSection()
    var frames = shared.frames.map { ($0.extent, nil as String?) }
    for (position, expert) in archive.experts.enumerated() {
      frames += try archive.file.expertSection(position).frames.map { ($0.extent, expert.name) }
    }
    for place in whole.indices {
      overwriteFile(folder("a"), at: place, with: [whole[place] ^ mask])
      defer { overwriteFile(folder("a"), at: place, with: [whole[place]]) }
      let offset = UInt64(place)
      let report: Verification.Report
      do {
        let damaged = try Archive(folder("a"), mode: .read)
        report = try Verification(damaged, pipeline: OrderedPipeline(threads: 1)).run(.full)
      } catch {
        // The header's first slot or the index: nothing can be read without them.
        let inIndex = archive.file.slot.index.offset..<archive.file.slot.index.end ~= offset
        let inSlot = place < 4096
        #expect(inIndex || inSlot, "byte \(place): \(error)")
        #expect(error.code.family == .format)
        continue
      }
      #expect(!report.isSound, "byte \(place)")
      guard let (extent, expert) = frames.first(where: { $0.0.offset..<$0.0.end ~= offset }) else { continue }
      // TMP-8-4
      for fault in report.faults {
        #expect(fault.code == .digestMismatch)
        #expect(fault.offset == extent.offset)
        #expect(fault.expert == expert)
        #expect(fault.message.contains("\(extent.digest)"))
        #expect(fault.message.contains("bytes \(extent.offset) to \(extent.end - 1)"))
      }
      #expect(report.faults.contains { $0.tensor == "any" })
      #expect(report.isSharedUsable == (expert != nil))
      // The shared `any` is needed by both experts' differences.
      #expect(report.usableExperts == (expert == nil ? [] : ["a", "b"].filter { $0 != expert }))
    }
  }

  /// Reads everything, whatever is wrong: mixes of the experts, and the files.
  static func readEverything(_ archive: Archive) {
    guard let reconstructor = try? Reconstructor(archive) else { return }
    let all = try? RouterWeights(archive.experts.map { ($0.name, 0.5) })
    for weights in [.shared, all].compactMap(\.self) + archive.experts.map({ .expert($0.name) }) {
      guard let mix = try? reconstructor.mix(weights) else { continue }
      for info in mix.tensors { _ = try? mix.bytes(of: info) }
      for file in mix.files { _ = try? file.bytes() }
    }
  }

  // Whatever a file holds, reading it neither traps nor hangs, and what verifies is the file that was written.
  @Test(arguments: [golden, "low-rank-i4", "sparse-i4", "files", "replaced", "two-generations", "shapes"])
  func survivesRandomMutations(_ name: String) throws {
    let folder = TemporaryFolder()
    let whole = try Self.file(name)
    var random = SeededGenerator(seed: 42)
    var opened = 0
    for _ in 0..<400 {
      // Mostly behind the header, whose bytes are nearly all reserved.
      let mutated =
        Bool.random(using: &random)
        ? whole.mutated(using: &random) : whole[..<8192] + Array(whole[8192...]).mutated(using: &random)
      putQuickly(mutated, at: folder("a"))
      guard let archive = try? Archive(folder("a"), mode: .read) else { continue }
      opened += 1
      let report = try Verification(archive, pipeline: OrderedPipeline(threads: 1)).run(.deep)
      if report.isSound, archive.file.slot.generation == 1 { #expect(mutated == whole) }
      Self.readEverything(archive)
    }
    #expect(opened > 50)
  }

  // The same for manifests and sections under right digests, where only the rules protect the reader.
  @Test func survivesMutatedSections() throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 7)
    for round in 0..<3000 {
      var archive = [HandArchive(), .sparseFactor, .denseFactor][round % 3]
      var generator = random
      random.state &+= 1
      let seeds = (generator.next(), generator.next())
      switch round / 3 % 4 {
      case 0: archive.expert.editRaw = { mutated($0, seeds.0) }
      case 1: archive.shared.editRaw = { mutated($0, seeds.0) }
      case 2: archive.expert.frames[0] = .raw(mutated(archive.expert.frames[0].stored, seeds.0))
      default: archive.editIndexText = { mutated($0, seeds.0) }
      }
      putQuickly(archive.bytes(), at: folder("a"))
      guard let opened = try? Archive(folder("a"), mode: .read) else { continue }
      _ = try Verification(opened, pipeline: OrderedPipeline(threads: 1)).run(.deep)
      Self.readEverything(opened)
    }
  }
}

private func mutated(_ bytes: [UInt8], _ seed: UInt64) -> [UInt8] {
  var random = SeededGenerator(seed: seed)
  return bytes.mutated(using: &random)
}
