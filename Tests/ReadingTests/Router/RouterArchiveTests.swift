import ArchiveSupport
import TMPackArchiveFormat
import TMPackFactorization
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// A router in an archive: kept, copied, replaced and removed.
@Suite struct RouterArchiveTests {
  static let names = ["a", "b", "c"]

  private func draft(_ classes: [String] = ["c", "a"], seed: UInt64 = 1, dtype: RouterDType = .f32) throws
    -> RouterDraft
  {
    var random = SeededGenerator(seed: seed)
    func layer(_ inputs: Int, _ outputs: Int) throws -> LayeredRouter.Layer {
      try LayeredRouter.Layer(
        inputs: inputs, outputs: outputs, bias: (0..<outputs).map { _ in random.noise() },
        weights: (0..<inputs * outputs).map { _ in random.noise() })
    }
    return try RouterDraft(
      classes: classes, model: .layers(LayeredRouter([layer(4, 300), layer(300, classes.count)])), dtype: dtype,
      provenance: noProvenance)
  }

  private let probe: [Float] = [0.5, -1, 2, 0.25]

  @Test(arguments: RouterDType.allCases) func comesBackAsItWasPut(_ dtype: RouterDType) throws {
    let archive = try RoutedArchive(Self.names)
    let draft = try draft(dtype: dtype)
    try archive.open().put(draft)
    let router = try Router(archive.open())
    #expect(router.classes == ["c", "a"] && router.dimension == 4)
    #expect(try router.model.logits(of: probe[...]) == draft.model.logits(of: probe[...]))
    #expect(try Verification(archive.open()).run(.deep).isSound)
    #expect(try archive.open().expertsWithoutClass() == ["b"])
  }

  @Test func changesNothingElse() throws {
    let archive = try RoutedArchive(Self.names)
    let before = try archive.open()
    let old = try contents(archive.path)
    #expect(try !before.hasRouter && before.routerManifest() == nil && before.expertsWithoutClass().isEmpty)
    #expect(code { _ = try Router(before) } == .invalidArgument)
    let mix = try digests(of: Reconstructor(before).mix(RouterWeights([("a", 0.5), ("b", 0.5)])))
    try before.put(draft())
    let after = try archive.open()
    #expect(after.hasRouter && after.file.slot.generation == 2 && after.rootDigest != before.rootDigest)
    #expect(try digests(of: Reconstructor(after).mix(RouterWeights([("a", 0.5), ("b", 0.5)]))) == mix)
    #expect(after.experts == before.experts)
    // Only the other header slot, and what follows the archive end, is new.
    let new = try contents(archive.path)
    #expect(new[..<4096] == old[..<4096] && new[8192..<old.count] == old[8192...])
  }

  @Test func isReplacedOnlyWhenAsked() throws {
    let archive = try RoutedArchive(Self.names)
    try archive.open().put(draft(seed: 1))
    let first = try Router(archive.open()).digest
    #expect(code { try archive.open().put(draft(seed: 2)) } == .outputExists)
    #expect(try Router(archive.open()).digest == first)
    try archive.open().put(draft(seed: 2), replacing: true)
    #expect(try Router(archive.open()).digest != first)
    #expect(try Verification(archive.open()).run(.deep).isSound)
  }

  @Test func refusesOtherExpertsByName() throws {
    let archive = try RoutedArchive(Self.names)
    let error = failure { try archive.open().put(draft(["a", "law"])) }
    #expect(error?.code == .unknownName && error?.message.contains("'law'") == true)
    #expect(try !archive.open().hasRouter)
    #expect(code { try archive.open().put(draft(["a", "a"])) } == .invalidArgument)
    #expect(
      code { _ = try RouterDraft(classes: ["a"], model: draft().model, dtype: .f32, provenance: noProvenance) }
        == .shapeMismatch)
    #expect(code { _ = try Self.huge().rounded(to: .f16) } == .nonFinite)
  }

  private static func huge() throws -> RouterModel {
    .layers(try LayeredRouter([LayeredRouter.Layer(inputs: 1, outputs: 2, bias: [0, 0], weights: [1e5, 1])]))
  }

  // TMP-11-3: classes are experts of the archive.
  @Test func keepsTheExpertsThatItIsBoundTo() throws {
    let archive = try RoutedArchive(Self.names)
    try archive.open().put(draft())
    let error = failure { try archive.open().write(without: ["a"], to: archive.path, replacing: true) }
    #expect(error?.code == .invalidArgument && error?.expert == "a")
    #expect(error?.remedy == .dropRouter)
    // Another expert may go, and the router stays.
    try archive.open().write(without: ["b"], to: archive.path, replacing: true)
    let smaller = try archive.open()
    #expect(smaller.experts.map(\.name) == ["a", "c"])
    #expect(try Router(smaller).model.logits(of: probe[...]) == draft().model.logits(of: probe[...]))
    #expect(try Verification(smaller).run(.deep).isSound)
    try smaller.write(without: ["a"], droppingRouter: true, to: archive.path, replacing: true)
    #expect(try !archive.open().hasRouter && archive.open().experts.map(\.name) == ["c"])
  }

  @Test func staysWhenExpertsAreAddedAndCorrectionsDropped() throws {
    let archive = try RoutedArchive(Self.names)
    try archive.open().put(draft())
    let digest = try Router(archive.open()).digest
    let more = try ExpertInput(
      name: "d",
      checkpoint: writeModel(
        [tensor("w", .f32, [6, 5], noise(30, seed: 77)), tensor("b", .bf16, [6], noise(6, seed: 78))],
        to: archive.folder("more.safetensors")))
    let packer = Packer(
      rules: TensorRules(.factor(try FactorPlan(.lowRank(rank: 1), dtype: .f32))), storesCorrections: true)
    _ = try packer.add([more], to: archive.open())
    #expect(try Router(archive.open()).digest == digest)
    #expect(try archive.open().expertsWithoutClass() == ["b", "d"])
    #expect(try Verification(archive.open()).run(.deep).isSound)
    try archive.open().write(without: [], droppingCorrections: true, to: archive.path, replacing: true)
    #expect(try archive.open().hasRouter)
    #expect(try Verification(archive.open()).run(.deep).isSound)
  }

  // Archives without a router have the bytes that they always had.
  @Test func leavesNoTraceWhenItIsRemoved() throws {
    let archive = try RoutedArchive(Self.names)
    try archive.open().write(without: [], to: archive.folder("plain"), replacing: false)
    try archive.open().put(draft())
    try archive.open().write(without: [], droppingRouter: true, to: archive.folder("removed"), replacing: false)
    #expect(try contents(archive.folder("plain")) == contents(archive.folder("removed")))
    // And one with it is complete in its first generation (TMP-2-8).
    try archive.open().write(without: [], to: archive.folder("routed"), replacing: false)
    let routed = try Archive(archive.folder("routed"))
    #expect(routed.file.slot.generation == 1 && routed.hasRouter)
    #expect(try Verification(routed).run(.deep).isSound)
  }
}
