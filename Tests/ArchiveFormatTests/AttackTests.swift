import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackReading
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Archives that say something wrong, under digests that are right.
@Suite struct AttackTests {
  static let hostile = Attacks.all.filter { $0.rule != "sound" }

  @Test(
    arguments: [HandArchive(), .sparseFactor, .denseFactor, .lowRank(dtype: "I8", left: [1, 2, 3])].map { $0.bytes() })
  func theUnspoiltArchivesAreSound(_ file: [UInt8]) { #expect(faults(in: file).isEmpty) }

  @Test(arguments: Attacks.all.filter { $0.rule == "sound" }) func accepts(_ attack: Attack) {
    #expect(faults(in: attack.make().bytes()).isEmpty)
  }

  /// For readers in other languages: all of them, in the folder that TMPACK_CORPUS names.
  @Test(.enabled(if: getenv("TMPACK_CORPUS") != nil)) func leavesTheArchives() throws {
    let folder = String(cString: try #require(getenv("TMPACK_CORPUS")))
    for (number, attack) in Attacks.all.enumerated() {
      putQuickly(attack.make().bytes(), at: FileTree.join(folder, "\(number)-\(attack.code.rawValue).tmpack"))
    }
  }

  @Test(arguments: hostile) func refuses(_ attack: Attack) {
    let found = faults(in: attack.make().bytes())
    #expect(found.first?.code == attack.code)
    #expect(found.contains { $0.message.contains(attack.words) }, "\(found.map(\.description))")
  }

  // TMP-4-6: a member of `extensions` that is not known is ignored; TMP-4-5: so is an optional feature.
  @Test func ignoresWhatIsOptional() {
    var archive = HandArchive()
    archive.editIndex = {
      $0["features", "optional"] = ["holograms"]
      $0["extensions"] = ["holograms": [["x": 1], "y"]]
    }
    #expect(faults(in: archive.bytes()).isEmpty)
  }

  // TMP-3-3: "A greater minor version is readable".
  @Test func readsAGreaterMinorVersion() {
    var archive = HandArchive()
    archive.editSlot = { $0[10] = 9 }
    #expect(faults(in: archive.bytes()).isEmpty)
  }

  // TMP-4-3: any decimal, not only the shortest. TMP-4-10: "measures to one part in 10⁶".
  @Test(arguments: ["0.125", "0.1250", "12.5e-2", "00000.125", "125e-3", "1.25e-01", "0.12500001"])
  func readsMeasures(_ text: String) {
    var archive = HandArchive()
    archive.editSummary = {
      $0["error"] = .string(text)
      $0["worst_error"] = .string(text)
    }
    #expect(faults(in: archive.bytes()).isEmpty)
  }

  // TMP-4-7, TMP-9-7: names up to 1024 bytes; TMP-1-8: equal by bytes only.
  @Test func readsUnusualNames() throws {
    let names = [String(repeating: "é", count: 512), "e\u{301}", "é", " ", "...", "名", "a.b c:d"]
    var archive = HandArchive()
    archive.editIndex = { index in
      let expert = index["experts", .at(0)]!
      for (position, name) in names.enumerated() {
        index["experts", .at(position)] = expert
        index["experts", .at(position), "name"] = .string(name)
        // Only the first has the section's bytes to itself.
        if position > 0 { index["experts", .at(position), "summary", "bytes"] = 0 }
      }
    }
    #expect(faults(in: archive.bytes()).isEmpty)
    let folder = TemporaryFolder()
    try put(archive.bytes(), at: folder("a"))
    let file = try ArchiveFile(folder("a"))
    for (position, name) in names.enumerated() { #expect(try file.expertIndex(named: name) == position) }
  }

  // TMP-9-9: "the outermost value being level 1", 16 levels are allowed.
  @Test func readsSixteenLevels() {
    var archive = HandArchive()
    archive.editIndex = {
      $0["extensions"] = ["x": (0..<13).reduce(JSONValue.array([])) { value, _ in .array([value]) }]
    }
    #expect(faults(in: archive.bytes()).isEmpty)
  }

  // TMP-8-1, TMP-8-2 and TMP-8-3 find more and more.
  @Test func levelsLookDeeper() {
    var frame = HandArchive()
    frame.editFile = { $0[8192] ^= 1 }
    #expect(faults(in: frame.bytes(), .quick).isEmpty)
    // Both shared tensors are in that frame.
    #expect(faults(in: frame.bytes(), .full).map(\.tensor) == ["m", "n"])
    let source = Attacks.factors.first { $0.name == "a difference of another source" }!.make().bytes()
    #expect(faults(in: source, .full).isEmpty)
    #expect(faults(in: source, .deep).map(\.code) == [.digestMismatch])
    var section = HandArchive()
    section.expert.editText = { $0.dropLast() }
    #expect(faults(in: section.bytes(), .quick).map(\.code) == [.malformed])
  }

  // TMP-8-3: without the model of a detached archive, differences cannot be checked, but they can be decoded.
  @Test func decodesDifferencesOfADetachedArchive() {
    func archive(_ edit: (inout HandFrame) -> Void) -> [UInt8] {
      var archive = HandArchive()
      archive.detach()
      archive.editSummary = { $0["parameters"] = 95 }
      archive.shared.manifest["tensors", .at(1), "shape"] = [80]
      archive.expert.frames[0] = .raw(archive.expert.frames[0].stored.dropLast(8))
      archive.expert.frames.append(.zstd([UInt8](repeating: 0, count: 320), width: 4))
      edit(&archive.expert.frames[1])
      archive.expert.manifest["tensors", .at(1), "payload"] = ["count": 1, "first": 1, "size": 320]
      return archive.bytes()
    }
    #expect(faults(in: archive { _ in }).isEmpty)
    let found = faults(in: archive { $0.stored[$0.stored.count - 1] ^= 1 })
    #expect(found.map(\.tensor) == ["n"])
  }

  // TMP-6-24: a read relies on the checksum where there is one; a verifier takes the digest, too.
  @Test func checksADetachedModelByChecksumAndDigest() throws {
    var (given, other) = (HandArchive.matrix, HandArchive.matrix)
    given[0] ^= 1
    other[0] ^= 2
    let folder = TemporaryFolder()
    let source = try writeModel(
      [tensor("m", .f32, [3, 5], bytes: given), tensor("n", .i32, [2], bytes: HandArchive.integers)],
      to: folder("base.safetensors")
    ).source
    func outcome(_ checksum: CRC32?, digestOf bytes: [UInt8]) throws -> (read: StorageError?, verified: StorageError?) {
      var hand = HandArchive()
      hand.detach()
      hand.shared.manifest["tensors", .at(0), "checksum"] = checksum.map { .string($0.hexadecimal) }
      hand.shared.manifest["tensors", .at(0), "digest"] = .string(ContentDigest(of: bytes).hexadecimal)
      let path = folder("x.tmpack")
      try put(hand.bytes(), at: path)
      let archive = try Archive(path, sharedModel: source)
      let mix = try Reconstructor(archive).mix(.shared)
      return (
        failure { _ = try digests(of: mix) }, try Verification(archive).run(.full).faults.first
      )
    }
    let (ownChecksum, otherChecksum) = (given.withUnsafeBytes(CRC32.of), other.withUnsafeBytes(CRC32.of))
    // Right, and as archives without checksums have it.
    for checksum in [ownChecksum, nil] {
      let right = try outcome(checksum, digestOf: given)
      #expect(right.read == nil && right.verified == nil)
    }
    let forged = try outcome(ownChecksum, digestOf: other)
    #expect(forged.read == nil)
    for error in try [
      forged.verified, outcome(nil, digestOf: other).read, outcome(nil, digestOf: other).verified,
      outcome(otherChecksum, digestOf: given).read, outcome(otherChecksum, digestOf: given).verified,
    ] {
      #expect(error?.code == .baseMismatch && error?.tensor == "m")
    }
  }

  // TMP-8-4: "names the byte range": the index's own, wherever in its text the fault is.
  @Test func namesThePlaceOfTheIndex() throws {
    var archive = HandArchive()
    archive.editIndexText = { Array(repeating: 0x20, count: 1 << 20) + $0 }
    let file = archive.bytes()
    let place = file[32..<40].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    let found = faults(in: file)
    #expect(found.map(\.offset) == [place])
    #expect(found.first?.message.hasPrefix("the index: ") == true)
  }

  // TMP-8-4: one expert's damage leaves the others usable, and is told precisely.
  @Test func namesWhatIsAtFault() throws {
    var archive = HandArchive()
    archive.editFile = { file in
      // The expert's raw frame: its first bytes are the left factors.
      let place = file.firstRange(of: [0x21, 0x07, 0x91])!.lowerBound
      file[place] ^= 0xFF
    }
    let found = try #require(faults(in: archive.bytes(), .full).first)
    #expect(found.code == .digestMismatch)
    #expect(found.expert == "a")
    #expect(found.tensor == "m")
    let offset = try #require(found.offset)
    #expect(offset % 64 == 0)
    #expect(found.message.contains("frame 0"))
    #expect(found.message.contains("bytes \(offset) to \(offset + 16)"))
    #expect(found.message.contains("expected digest"))
    #expect(found.message.contains("found"))
  }

  private func report(_ archive: HandArchive, _ level: Verification.Level) throws -> Verification.Report {
    let folder = TemporaryFolder()
    try put(archive.bytes(), at: folder("a"))
    return try Verification(try Archive(folder("a"))).run(level)
  }

  /// With a carried file in frame 0 of the shared model or of the expert.
  private func carrying(_ section: WritableKeyPath<HandArchive, HandSection>, digest: ContentDigest) -> HandArchive {
    var archive = HandArchive()
    archive[keyPath: section].frames.insert(.raw([1]), at: 0)
    archive[keyPath: section].manifest["files"] = [
      ["digest": .string(digest.hexadecimal), "name": "f", "payload": ["count": 1, "first": 0, "size": 1]]
    ]
    for tensor in 0..<2 {
      for payload in ["left", "payload", "right", "scales"]
      where archive[keyPath: section].manifest["tensors", .at(tensor), .member(payload)] != nil {
        archive[keyPath: section].manifest["tensors", .at(tensor), .member(payload), "first"] = 1
      }
    }
    return archive
  }

  // TMP-8-4: "the experts still usable": a file that is lost is one of the expert's parts, whoever finds it.
  @Test(arguments: [Verification.Level.full, .deep]) func aDamagedFileHarmsWhatItBelongsTo(_ level: Verification.Level)
    throws
  {
    for (section, expert) in [(\HandArchive.shared, nil), (\HandArchive.expert, "a")] {
      #expect(try report(carrying(section, digest: ContentDigest(of: [1])), .deep).isSound)
      var archive = carrying(section, digest: level == .deep ? ContentDigest(of: [2]) : ContentDigest(of: [1]))
      if level == .full { archive[keyPath: section].frames[0].digest = ContentDigest(of: [2]).bytes }
      let report = try report(archive, level)
      #expect(report.faults.map(\.code) == [.digestMismatch])
      #expect(report.faults.map(\.expert) == [expert])
      #expect(report.faults.allSatisfy { $0.message.contains("file 'f'") })
      #expect(report.usableExperts == (expert == nil ? ["a"] : []))
      #expect(report.isSharedUsable == (expert != nil))
    }
  }

  /// With more shared tensors, each of all the damaged frames that follow the sound one.
  private func damaged(tensors: Int, frames: [HandFrame]) -> HandArchive {
    var archive = HandArchive()
    archive.shared.frames += frames.map { frame in
      var frame = frame
      frame.digest = ContentDigest(of: [255]).bytes
      return frame
    }
    let size = frames.reduce(0) { $0 + $1.rawSize }
    for tensor in 0..<tensors {
      archive.shared.manifest["tensors", .at(2 + tensor)] = HandArchive.sharedEntry(
        "t\(tensor + 1000)", "U8", [size], [], ["count": JSONValue(frames.count), "first": 1, "size": JSONValue(size)])
    }
    archive.editSummary = {
      $0["parameters"] = JSONValue(17 + tensors * size)
      $0["tensors"] = JSONValue(2 + tensors)
    }
    return archive
  }

  // As many faults as tensors, not as records times tensors.
  @Test func recordsOfOneExtentAreOneFaultOfATensor() throws {
    let report = try report(damaged(tensors: 50, frames: Array(repeating: .raw([1, 2, 3]), count: 200)), .full)
    #expect(report.faults.count == 50)
    #expect(Set(report.faults.map(\.tensor)).count == 50)
    #expect(report.findings.unlistedCount == 0)
    #expect(!report.isSharedUsable && report.usableExperts.isEmpty)
  }

  // TMP-8-5
  @Test func listsSomeOfManyFaults() throws {
    let report = try report(damaged(tensors: 110, frames: (0..<100).map { .raw([$0]) }), .full)
    #expect(report.faults.count == VerificationFindings.listLimit)
    #expect(report.findings.unlistedCount == 110 * 100 - VerificationFindings.listLimit)
    #expect(!report.isSharedUsable && report.usableExperts.isEmpty)
    var many = VerificationFindings()
    for _ in 0..<3 { many.add(report.findings) }
    #expect(many.faults.count == VerificationFindings.listLimit)
    #expect(many.unlistedCount == 3 * 110 * 100 - VerificationFindings.listLimit)
    // What is lost counts although it is not listed.
    many.add(StorageError(.malformed, ""), losing: ArchiveLoss(experts: [7]))
    #expect(many.loss.experts.contains(7))
  }

  // TMP-11-2: "damage to it leaves all experts usable". TMP-8-1 to TMP-8-3.
  @Test func aDamagedRouterHarmsNoExpert() throws {
    var archive = HandArchive.routed
    #expect(faults(in: archive.bytes()).isEmpty)
    archive.router!.frames[0].digest = [UInt8](repeating: 7, count: 32)
    let folder = TemporaryFolder()
    try put(archive.bytes(), at: folder("a"))
    let opened = try Archive(folder("a"))
    let report = try Verification(opened).run(.full)
    #expect(report.faults.map(\.code) == [.digestMismatch])
    #expect(report.faults.allSatisfy { $0.message.hasPrefix("the router, frame 0") })
    #expect(report.usableExperts == ["a", "b"] && report.isSharedUsable)
    #expect(try Reconstructor(opened).mix(.expert("a")).tensors.count == 2)
    #expect(code { _ = try Router(opened) } == .digestMismatch)
    #expect(faults(in: archive.bytes(), .quick).isEmpty)
    var section = HandArchive.routed
    section.router!.editText = { $0.dropLast() }
    #expect(faults(in: section.bytes(), .quick).map(\.code) == [.malformed])
  }

  // TMP-2-8: extents of an extension that is not known cannot be told from gaps.
  @Test func unknownExtensionsMayHaveExtents() {
    var archive = HandArchive()
    archive.editIndex = { $0["extensions"] = ["holograms": [:]] }
    archive.expert.frames[0].alignment = 4096
    #expect(faults(in: archive.bytes()).isEmpty)
    archive.editIndex = { _ in }
    #expect(!faults(in: archive.bytes()).isEmpty)
  }
}
