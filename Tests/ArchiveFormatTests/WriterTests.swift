import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// An output whose n-th call fails, as on a full disk.
private final class FailingOutput: ArchiveOutput {
  private let whole: NewArchiveOutput
  private(set) var callsLeft: Int

  init(_ whole: NewArchiveOutput, after calls: Int) {
    self.whole = whole
    callsLeft = calls
  }

  var position: UInt64 { whole.position }
  var readablePath: String { whole.readablePath }

  private func count() throws(StorageError) {
    guard callsLeft > 0 else { throw StorageError(.inputOutput, "no space left on device") }
    callsLeft -= 1
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    try count()
    try whole.write(bytes)
  }

  func finish(slot: [UInt8], at offset: UInt64, with others: [any StagedOutput]) throws(StorageError) {
    try count()
    try whole.finish(slot: slot, at: offset, with: others)
  }
}

/// Writes a small archive: two shared tensors, of which one is stored raw, and an expert that replaces one of them.
private func write(
  _ writer: ArchiveWriter, files: Int = 1, expert: String = "a", metadata: [String: String] = [:]
) throws {
  var random = SeededGenerator(seed: 1)
  let large = random.bytes(70_000)
  let provenance = Provenance(tool: "test", options: [:], sources: [])
  func entry(_ name: String, _ bytes: [UInt8]) throws -> SharedEntry {
    SharedEntry(
      info: try info(name, .u8, [bytes.count]), digest: ContentDigest(of: bytes),
      content: .embedded(try writer.place(EncodedPayload(bytes, elementWidth: 1, level: 3))))
  }
  let carried = try (0..<files).map { number in
    CarriedFileEntry(
      name: try CarriedFileName("f\(number + 10_000)"), digest: ContentDigest(of: [1]),
      payload: try writer.place(EncodedPayload([1], elementWidth: 1, level: 3)))
  }
  try writer.finishShared(
    SharedManifest(
      tensors: [entry("large", large), entry("small", [1, 2, 3])], files: carried, metadata: metadata,
      provenance: provenance), storage: .embedded, method: SharedMethod(.given))
  let bytes: [UInt8] = [4, 5]
  let factor = StoredFactor.replaced(
    dtype: .u8, shape: try Shape([2]), payload: try writer.place(EncodedPayload(bytes, elementWidth: 1, level: 3)))
  try writer.finishExpert(
    named: expert,
    ExpertManifest(
      tensors: [ExpertEntry(name: "small", source: ContentDigest(of: bytes), factor: factor, measures: nil)],
      absent: [],
      files: [], metadata: [:], provenance: provenance))
  try writer.commit()
}

@Suite struct WriterTests {
  @Test func leavesNothingWhenAnyWriteFails() throws {
    let folder = TemporaryFolder()
    var failures = 0
    while true {
      let output = FailingOutput(try NewArchiveOutput(path: folder("a"), replacing: false), after: failures)
      let error = failure { try write(ArchiveWriter(output: output, generation: 1, level: 3)) }
      guard let error else { break }
      #expect(error.code == .inputOutput)
      #expect(!folder.names.contains("a"))
      failures += 1
    }
    // Frames, padding, two sections, the index, the slot.
    #expect(failures >= 7)
    #expect(folder.names == ["a"])
    #expect(faults(at: folder("a")).isEmpty)
  }

  @Test func removesItsTemporaryFile() throws {
    let folder = TemporaryFolder()
    do {
      let output = FailingOutput(try NewArchiveOutput(path: folder("a"), replacing: false), after: 2)
      #expect(throws: StorageError.self) { try write(ArchiveWriter(output: output, generation: 1, level: 3)) }
    }
    #expect(folder.names.isEmpty)
  }

  // TMP-9-13: "A writer MUST NOT write what a reader would have to refuse."
  @Test func refusesWhatNobodyCouldRead() throws {
    let folder = TemporaryFolder()
    #expect(code { try write(ArchiveWriter(creating: folder("a")), files: 4097) } == .limitExceeded)
    for name in ["", "a/b", "a=b", ".", "a\u{1}"] {
      #expect(code { try write(ArchiveWriter(creating: folder("a")), expert: name) } == .malformed)
    }
    #expect(
      code { try write(ArchiveWriter(creating: folder("a")), expert: String(repeating: "x", count: 1025)) }
        == .limitExceeded)
    // TMP-9-19
    let metadata = Dictionary(uniqueKeysWithValues: (0..<1 << 19).map { (String($0), "") })
    #expect(code { try write(ArchiveWriter(creating: folder("a")), metadata: metadata) } == .limitExceeded)
    #expect(folder.names.isEmpty)
    try write(ArchiveWriter(creating: folder("a")), files: 4096)
    #expect(faults(at: folder("a")).isEmpty)
  }

  @Test func refusesTheNameOfAnotherExpert() throws {
    let folder = TemporaryFolder()
    try write(ArchiveWriter(creating: folder("a")))
    let writer = try ArchiveWriter(appendingTo: ArchiveFile(folder("a")))
    let manifest = try ArchiveFile(folder("a")).expertSection(0).manifest
    let empty = ExpertManifest(
      tensors: [], absent: manifest.absent, files: manifest.files, metadata: manifest.metadata,
      provenance: manifest.provenance)
    #expect(code { try writer.finishExpert(named: "a", empty) } == .invalidArgument)
    // TMP-1-8: these are two names.
    try writer.finishExpert(named: "e\u{301}", empty)
    try writer.finishExpert(named: "é", empty)
    try writer.commit()
    #expect(faults(at: folder("a")).isEmpty)
    #expect(try ArchiveFile(folder("a")).expertIndex(named: "é") == 2)
  }
}

/// Appends and what may interrupt them (TMP-2-9).
@Suite struct AppendTests {
  private static func expert(_ name: String, _ seed: UInt64, in folder: TemporaryFolder) throws -> ExpertInput {
    try ExpertInput(
      name: name,
      checkpoint: writeModel([tensor("t", .f32, [2, 3], noise(6, seed: seed))], to: folder("\(name).safetensors")))
  }

  private static func generations(_ count: Int, in folder: TemporaryFolder) throws -> [[UInt8]] {
    let base = try writeModel([tensor("t", .f32, [2, 3], noise(6, seed: 0))], to: folder("base.safetensors"))
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
    _ = try packer.pack(base: base, experts: [expert("e1", 1, in: folder)], to: folder("a"))
    var files = [try contents(folder("a"))]
    for number in 2...count {
      _ = try packer.add([expert("e\(number)", UInt64(number), in: folder)], to: Archive(folder("a")))
      files.append(try contents(folder("a")))
    }
    return files
  }

  /// Opens a file as a crash may have left it. The generation that is read must be whole.
  private static func open(_ file: [UInt8], in folder: TemporaryFolder) throws -> (generation: UInt64, isSound: Bool) {
    putQuickly(file, at: folder("crashed"))
    let archive = try Archive(folder("crashed"), mode: .read)
    let report = try Verification(archive, pipeline: OrderedPipeline(threads: 1)).run(.full)
    // TMP-2-6: "A reader MUST read the active generation all the same and MUST say so".
    #expect(report.isSound == archive.file.slots.residue.isEmpty)
    #expect(report.usableExperts == (1...archive.file.slot.generation).map { "e\($0)" })
    for fault in report.faults { #expect(fault.code.family == .format) }
    return (archive.file.slot.generation, report.isSound)
  }

  @Test func survivesACrashAfterEveryByteOfTheContent() throws {
    let folder = TemporaryFolder()
    let files = try Self.generations(3, in: folder)
    for (generation, (old, new)) in zip(files, files.dropFirst()).enumerated() {
      #expect(new[8192..<old.count] == old[8192...])
      for length in old.count...new.count {
        let state = try Self.open(old + new[old.count..<length], in: folder)
        #expect(state == (UInt64(generation + 1), length == old.count))
      }
    }
  }

  @Test func survivesACrashAfterEveryByteOfTheSlot() throws {
    let folder = TemporaryFolder()
    let files = try Self.generations(3, in: folder)
    for (generation, (old, new)) in zip(files, files.dropFirst()).enumerated() {
      let slot = generation % 2 == 0 ? 4096 : 0
      for written in 0...200 {
        var file = old + new[old.count...]
        file.replaceSubrange(slot..<slot + written, with: new[slot..<slot + written])
        let state = try Self.open(file, in: folder)
        let isDone = file == new
        #expect(state == (UInt64(generation + (isDone ? 2 : 1)), isDone), "\(written)")
      }
    }
  }

  // TMP-2-6: "an empty one beside a generation greater than 1"; TMP-2-4: what slots may stand beside each other.
  @Test func saysWhatIsWrongWithSlots() throws {
    let folder = TemporaryFolder()
    let files = try Self.generations(4, in: folder)
    var erased = files[1].replacing(at: 0, with: [UInt8](repeating: 0, count: 4096))
    #expect(try Self.open(erased, in: folder) == (2, false))
    erased = files[2].replacing(at: 4096, with: [UInt8](repeating: 0, count: 4096))
    #expect(try Self.open(erased, in: folder) == (3, false))
    // Generations 1 and 4, which no append leaves.
    let torn = files[3].replacing(at: 0, with: files[0][..<4096])
    #expect(faults(in: torn).map(\.code) == [.malformed])
    // Generation 2 in slot 0 beside the one in slot 1.
    let misplaced = files[1].replacing(at: 0, with: files[1][4096..<8192])
    #expect(faults(in: misplaced).map(\.code) == [.malformed])
    // TMP-2-3: without a valid slot nothing is read.
    let both = files[1].flipping(1, at: 100).flipping(1, at: 4196)
    #expect(faults(in: both).map(\.code) == [.digestMismatch])
    #expect(faults(in: [UInt8](repeating: 0, count: 9000)).map(\.code) == [.unknownFormat])
    // TMP-3-1
    #expect(faults(in: files[0].flipping(1, at: 3)).map(\.code) == [.unknownFormat])
    // TMP-9-1: nor is a newest slot that asks for too much: falling back to the older one would hide the newest content.
    var head = Array(files[1][4096..<4192])
    head[55] = 0x80
    let greedy = files[1].replacing(at: 4096, with: head + ContentDigest(of: head).bytes)
    #expect(faults(in: greedy).map(\.code) == [.limitExceeded])
    // TMP-3-3: a newer writer's slot is no damage.
    var newer = HandArchive()
    newer.editSlot = { $0[8] = 2 }
    let foreign = files[1].replacing(at: 0, with: newer.bytes()[..<4096])
    #expect(faults(in: foreign).map(\.code) == [.unsupportedVersion])
  }

  // The next append overwrites what a crash has left.
  @Test func appendsOverResidue() throws {
    let folder = TemporaryFolder()
    let files = try Self.generations(2, in: folder)
    try put(files[0] + [UInt8](repeating: 7, count: 100_000), at: folder("a"))
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
    _ = try packer.add([Self.expert("e2", 2, in: folder)], to: Archive(folder("a")))
    #expect(try contents(folder("a")) == files[1])
  }

  @Test func cutsOffWhatAFailedAppendWrote() throws {
    let folder = TemporaryFolder()
    let files = try Self.generations(2, in: folder)
    let packer = Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(try FactorPlan(.dense, dtype: .f32))))
    var values = noise(6, seed: 9)
    values[5] = .nan
    let broken = try ExpertInput(
      name: "broken", checkpoint: writeModel([tensor("t", .f32, [2, 3], values)], to: folder("nan.safetensors")))
    let sound = try Self.expert("sound", 3, in: folder)
    #expect(code { _ = try packer.add([sound, broken], to: Archive(folder("a"))) } == .nonFinite)
    #expect(try contents(folder("a")) == files[1])
  }

  // TMP-2-9: "takes an exclusive lock on the file"; TMP-2-10: so does a writer that writes it anew.
  @Test func oneWriterAtATime() throws {
    let folder = TemporaryFolder()
    _ = try Self.generations(2, in: folder)
    let archive = try Archive(folder("a"))
    func rewrite() throws -> UInt64 { try archive.write(without: ["e1"], to: folder("a"), replacing: true) }
    do {
      let writer = try ArchiveWriter(appendingTo: archive.file)
      #expect(code { _ = try ArchiveWriter(appendingTo: archive.file) } == .inputOutput)
      #expect(code { _ = try rewrite() } == .inputOutput)
      try writer.commit()
    }
    // `archive` was opened before that.
    let whole = try contents(folder("a"))
    #expect(code { _ = try ArchiveWriter(appendingTo: archive.file) } == .inputOutput)
    #expect(code { _ = try rewrite() } == .inputOutput)
    #expect(try contents(folder("a")) == whole)
    do {
      let current = try ArchiveFile(folder("a"))
      let writer = try ArchiveWriter(rewriting: current, at: folder("a"))
      #expect(code { _ = try ArchiveWriter(appendingTo: current) } == .inputOutput)
      _ = writer
    }
    #expect(try contents(folder("a")) == whole)
    #expect(!folder.names.contains { $0.hasSuffix(".tmp") })
  }

  // What an append was made for is gone: it must not look like success.
  @Test func anAppendToAReplacedArchiveFails() throws {
    let folder = TemporaryFolder()
    _ = try Self.generations(2, in: folder)
    let writer = try ArchiveWriter(appendingTo: ArchiveFile(folder("a")))
    // Whoever replaces a file by another asks for no lock.
    let other = try contents(folder("a"))
    try put(other, at: folder("a"))
    #expect(code { try writer.commit() } == .inputOutput)
    #expect(try contents(folder("a")) == other)
  }

  @Test func rewritesWhatALinkLeadsTo() throws {
    let folder = TemporaryFolder()
    _ = try Self.generations(2, in: folder)
    try FileTree.makeFolder(folder("links"))
    try #require(symlink("../a", folder("links/a")) == 0)
    try #require(chmod(folder("a"), 0o600) == 0)
    let size = try Archive(folder("links/a")).write(without: ["e1"], to: folder("links/a"), replacing: true)
    #expect(FileTree.kind(of: folder("links/a"), followingLinks: false) == .link)
    #expect(try FileTree.names(in: folder("links")) == ["a"])
    let archive = try Archive(folder("a"))
    #expect(archive.experts.map(\.name) == ["e2"])
    #expect(try contents(folder("a")).count == Int(size))
    #expect(permissions(folder("a")) == 0o600)
  }
}
