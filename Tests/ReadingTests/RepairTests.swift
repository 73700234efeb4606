import ArchiveSupport
import TMPackArchiveFormat
import TMPackByteIO
import TMPackMerging
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// TMP-8-6: what is damaged is taken from elsewhere, by digest.
@Suite struct RepairTests {
  private let folder = TemporaryFolder()

  private func repair(
    _ bytes: [UInt8], from donors: [String] = [], dropping: Bool = false
  ) throws -> (outcome: Repair.Outcome, bytes: [UInt8]) {
    putQuickly(bytes, at: folder("damaged"))
    let repair = Repair(folder("damaged"), from: try donors.map { try ReadableFile($0) })
    let outcome = try repair.run(to: folder("out"), replacing: true, droppingDamaged: dropping)
    return (outcome, try contents(folder("out")))
  }

  private func extents(of archive: Archive) -> [Extent] {
    archive.file.sectionExtents + archive.file.frameExtents()
  }

  /// A base, and experts that differ in all tensors, in frames of their own.
  private func zoo(_ names: [String], to name: String, seed: UInt64 = 1) throws -> Archive {
    func model(_ own: UInt64) throws -> [SampleTensor] {
      try ["a", "b"].enumerated().map { index, name in
        try tensor(name, .f32, [200, 200], noise(40_000, seed: own + UInt64(index)))
      }
    }
    let base = try writeModel(model(seed), to: folder("base.safetensors"))
    let experts = try names.enumerated().map { number, name in
      try ExpertInput(
        name: name,
        checkpoint: writeModel(model(100 * UInt64(number + 1)), to: folder("\(name).safetensors")))
    }
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
      .pack(base: base, experts: experts, to: folder(name), replacing: true)
    return try Archive(folder(name))
  }

  @Test(arguments: Golden.all) func everyExtentIsMendedByACopy(_ golden: Golden) throws {
    let whole = try contents(golden.path)
    var random = SeededGenerator(seed: 8)
    let archive = try golden.open()
    for extent in Set(extents(of: archive)) {
      let place = Int(extent.offset) + Int.random(in: 0..<extent.storedSize, using: &random)
      let (outcome, bytes) = try repair(whole.flipping(0x10, at: place), from: [golden.path])
      #expect(bytes == whole, "byte \(place)")
      #expect(outcome.restorations.map(\.extent) == [extent])
      #expect(outcome.restorations.map(\.donor) == [golden.path])
      #expect(outcome.archive.rootDigest == archive.rootDigest)
    }
    #expect(try repair(whole, from: []).bytes == whole)
  }

  @Test func copiesDamagedInDifferentPlacesMendEachOther() throws {
    let archive = try zoo(["x", "y"], to: "zoo")
    let whole = try contents(archive.path)
    let places = extents(of: archive).sorted { $0.offset < $1.offset }
    var (even, odd) = (whole, whole)
    for (number, extent) in places.enumerated() {
      if number.isMultiple(of: 2) { even[Int(extent.offset)] ^= 1 } else { odd[Int(extent.offset)] ^= 1 }
    }
    try put(odd, at: folder("odd"))
    let (outcome, bytes) = try repair(even, from: [folder("odd")])
    #expect(bytes == whole && outcome.restorations.count > 2)
  }

  @Test func anotherArchiveMendsWhatItHasInCommon() throws {
    let archive = try zoo(["x", "y"], to: "zoo")
    let other = try zoo(["z"], to: "other")
    var bytes = try contents(archive.path)
    for frame in try archive.file.sharedSection().frames { bytes[Int(frame.extent.offset)] ^= 1 }
    let (_, mended) = try repair(bytes, from: [other.path])
    #expect(try mended == contents(archive.path))
    // Not what it lacks.
    bytes[Int(archive.experts[1].section.extent.offset)] ^= 1
    let error = failure { _ = try repair(bytes, from: [other.path]) }
    #expect(error?.code == .digestMismatch && error?.file == folder("damaged"))
    #expect(error?.offset == archive.experts[1].section.extent.offset)
    #expect(error?.remedy == .dropDamaged("y"))
  }

  @Test func whatCannotBeMendedIsLeftOutOnRequest() throws {
    let archive = try zoo(["x", "y", "z"], to: "zoo")
    let frame = try archive.file.expertSection(1).frames[0].extent
    let damaged = try contents(archive.path).flipping(1, at: Int(frame.offset))
    let before = folder.names + ["damaged"]
    let error = failure { _ = try repair(damaged) }
    #expect(error?.code == .digestMismatch && error?.offset == frame.offset)
    #expect(error?.expert == "y" && error?.tensor == "a" && error?.file == folder("damaged"))
    #expect(folder.names.sorted() == before.sorted())
    let outcome = try repair(damaged, dropping: true).outcome
    #expect(outcome.droppedExperts == ["y"])
    #expect(outcome.archive.experts.map(\.name) == ["x", "z"])
    #expect(try Verification(outcome.archive).run(.deep).isSound)
    for name in ["x", "z"] {
      let (own, old) = try (Reconstructor(outcome.archive), Reconstructor(archive))
      #expect(try digests(of: own.mix(.expert(name))) == digests(of: old.mix(.expert(name))))
    }
    // Nothing is left without the shared model.
    let shared = try archive.file.sharedSection().frames[0].extent
    let lost = try contents(archive.path).flipping(1, at: Int(shared.offset))
    let refusal = failure { _ = try repair(lost, dropping: true) }
    #expect(refusal?.code == .digestMismatch && refusal?.offset == shared.offset && refusal?.tensor == "a")
  }

  // TMP-11-3
  @Test func aRouterGoesWithItsExperts() throws {
    let golden = try #require(Golden.all.first { $0.name == "router" })
    let whole = try contents(golden.path)
    let archive = try golden.open()
    let weights = try #require(try archive.file.routerSection()).frames[0].extent
    let section = archive.experts[0].section.extent
    for (place, experts) in [(weights, archive.experts.map(\.name)), (section, [archive.experts[1].name])] {
      let damaged = whole.flipping(1, at: Int(place.offset))
      #expect(throws: StorageError.self) { try repair(damaged) }
      let outcome = try repair(damaged, dropping: true).outcome
      #expect(outcome.droppedRouter && !outcome.archive.hasRouter)
      #expect(outcome.archive.experts.map(\.name) == experts)
    }
  }

  // MARK: Headers

  @Test(arguments: Golden.all) func aLostHeaderIsMadeAnew(_ golden: Golden) throws {
    let whole = try contents(golden.path)
    let archive = try golden.open()
    let isFirst = archive.file.slot.generation == 1
    let slot = isFirst ? 0 : 4096
    for damage in [
      { $0.flipping(1, at: slot + 20) }, { $0[..<slot] + [UInt8](repeating: 0xAA, count: 4096) + $0[(slot + 4096)...] },
    ]
      as [([UInt8]) -> [UInt8]]
    {
      let (outcome, bytes) = try repair(damage(whole))
      #expect(bytes == whole)
      #expect(outcome.droppedBytes == 0)
    }
    // Both, of a first generation.
    if isFirst {
      #expect(try repair([UInt8](repeating: 0x55, count: 8192) + whole[8192...]).bytes == whole)
      #expect(try repair(whole.flipping(1, at: 5000)).bytes == whole)
    }
  }

  /// An append that was interrupted before its index was whole: what it has left is cut off, and that is said.
  @Test func whatAnAppendHasLeftIsCutOff() throws {
    let whole = try contents(zoo(["x"], to: "zoo").path)
    let (outcome, bytes) = try repair(whole + [UInt8](repeating: 3, count: 777))
    #expect(bytes == whole && outcome.droppedBytes == 777)
  }

  @Test func noBytesCrashIt() throws {
    let whole = try contents(zoo(["x", "y"], to: "zoo").path)
    var random = SeededGenerator(seed: 12)
    for _ in 0..<60 {
      let bytes = whole.mutated(using: &random)
      for dropping in [false, true] {
        do {
          let outcome = try repair(bytes, dropping: dropping).outcome
          #expect(try Verification(outcome.archive).run(.deep).isSound)
        } catch let error as StorageError {
          #expect(
            error.code.family == .format || error.code.family == .limits || error.code == .unsupportedVersion,
            "\(error)")
        }
      }
    }
  }
}
