import ArchiveSupport
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// Corrections, and entries that are approximated by nothing.
@Suite struct ExactUpgradeTests {
  private let folder = TemporaryFolder()

  private static func base() throws -> [SampleTensor] {
    try [
      tensor("bf16", .bf16, [24, 20], noise(480, seed: 1)), tensor("f16", .f16, [7], noise(7, seed: 2)),
      tensor("f32", .f32, [16, 12], noise(192, seed: 3)), tensor("f64", .f64, [9, 8], noise(72, seed: 4)),
      tensor("faint", .bf16, [10, 10], noise(100, seed: 5)), tensor("ids", .i32, [2], bytes: lanes([1, 2] as [Int32])),
    ]
  }

  /// Away from the base by a tenth, `faint` by next to nothing.
  private static func expert() throws -> [SampleTensor] {
    func moved(_ count: Int, _ seed: UInt64, by scale: Double = 0.1) -> [Double] {
      zip(noise(count, seed: seed), noise(count, scale: scale, seed: seed + 10)).map { $0 + $1 }
    }
    return try [
      tensor("bf16", .bf16, [24, 20], moved(480, 1)), tensor("f16", .f16, [7], moved(7, 2)),
      tensor("f32", .f32, [16, 12], moved(192, 3)), tensor("f64", .f64, [9, 8], moved(72, 4)),
      tensor("faint", .bf16, [10, 10], moved(100, 5, by: 1e-3)),
      tensor("ids", .i32, [2], bytes: lanes([1, 3] as [Int32])),
    ]
  }

  private func pack(_ rules: TensorRules, corrections: Bool, to name: String) throws -> (Archive, Checkpoint) {
    let own = try writeModel(Self.expert(), to: folder("x.safetensors"))
    let packer = Packer(
      sharedModel: .merged(BaseModel()), rules: rules,
      rate: try RateControl(.quality(12), objective: .leastError), storesCorrections: corrections)
    _ = try packer.pack(
      base: writeModel(Self.base(), to: folder("base.safetensors")),
      experts: [ExpertInput(name: "x", checkpoint: own)], to: folder(name), replacing: true)
    return (try Archive(folder(name)), own)
  }

  private static let rules: [TensorRules] = {
    let methods: [FactorPlan.Method] = [.lowRank(rank: 2), .sparse(density: 0.1), .dense]
    return [TensorRules(.controlled)] + methods.map { TensorRules(.factor(try! FactorPlan($0, dtype: .int8))) }
  }()

  // TMP-6-17, TMP-7-14: a correction takes each approximation to the expert's own bits.
  @Test(arguments: rules.indices) func exactExpertsHaveTheirOwnBits(_ index: Int) throws {
    let (archive, own) = try pack(Self.rules[index], corrections: true, to: "a.tmpack")
    let entries = try archive.manifest(ofExpert: "x").tensors
    #expect(entries.count == 6 && entries.allSatisfy { ($0.correction != nil) == $0.factor.isLossy })
    let wanted = try digests(of: own.source)
    let reconstructor = try Reconstructor(archive)
    #expect(try digests(of: reconstructor.exact("x")) == wanted)
    // "Corrections are used for nothing else."
    let mixed = try digests(of: reconstructor.mix(weights("x=1")))
    #expect(mixed != wanted)
    let (bare, _) = try pack(Self.rules[index], corrections: false, to: "b.tmpack")
    #expect(try digests(of: Reconstructor(bare).mix(weights("x=1"))) == mixed)
    #expect(code { _ = try Reconstructor(bare).exact("x") } == .invalidArgument)
    #expect(try Verification(archive).run(.deep).isSound)
  }

  // TMP-6-18: they can be dropped, and nothing is encoded again.
  @Test func correctionsCanBeDropped() throws {
    let (archive, _) = try pack(TensorRules(.controlled), corrections: true, to: "a.tmpack")
    let (bare, _) = try pack(TensorRules(.controlled), corrections: false, to: "b.tmpack")
    try archive.write(without: [], droppingCorrections: true, to: folder("c.tmpack"), replacing: false)
    let dropped = try Archive(folder("c.tmpack"))
    #expect(try Verification(dropped).run(.deep).isSound)
    #expect(try dropped.manifest(ofExpert: "x").tensors.allSatisfy { $0.correction == nil })
    #expect(dropped.experts[0].summary.bytes == bare.experts[0].summary.bytes)
    #expect(
      try digests(of: Reconstructor(dropped).mix(weights("x=0.5")))
        == digests(of: Reconstructor(archive).mix(weights("x=0.5"))))
    #expect(code { _ = try Reconstructor(dropped).exact("x") } == .invalidArgument)
  }

  // TMP-6-19: nothing is stored, nothing added, and the error is 1; TMP-6-20, TMP-6-21 for the others.
  @Test func whatIsBelowTheStepIsDropped() throws {
    let (archive, _) = try pack(TensorRules(.controlled), corrections: false, to: "a.tmpack")
    let manifest = try archive.manifest(ofExpert: "x")
    let faint = try #require(manifest.entry(named: "faint"))
    #expect(faint.factor.kind == .dropped && faint.payloads.isEmpty)
    #expect(faint.measures?.error.value == 1)
    #expect(
      manifest.entry(named: "bf16")?.factor.kind == .quantizedLowRank
        || manifest.entry(named: "bf16")?.factor.kind == .quantized)
    let mix = try Reconstructor(archive).mix(weights("x=3"))
    let base = try Checkpoint.open(folder("base.safetensors")).source
    #expect(try bytes(of: mix, "faint") == bytes(of: base, "faint"))
    #expect(try bytes(of: mix, "bf16") != bytes(of: base, "bf16"))
  }
}
