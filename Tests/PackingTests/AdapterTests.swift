import ArchiveSupport
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct AdapterTests {
  let folder = TemporaryFolder()

  @Test(arguments: PEFTFixture.allCases) func mergesAsPeftDoes(_ fixture: PEFTFixture) throws {
    let expected = try Checkpoint.open(fixture.path("merged.safetensors")).source
    let merged = try fixture.adapter().source
    #expect(merged.tensors == expected.tensors)
    #expect(try worstDifference(expected, merged) <= 4 * fixture.tolerance)
    for info in merged.tensors { #expect(try hasSameParts(merged, info), "\(info)") }
    // And it is the adapter that does it.
    #expect(try worstDifference(expected, fixture.base().source) > 0.05)
  }

  @Test func saysWhatItIsAbout() throws {
    let notes = try PEFTFixture.gpt2.adapter().notes.joined(separator: "\n")
    #expect(notes.contains("LoRA updates: 6") && notes.contains("\"transformer.\""))
    #expect(try PEFTFixture.bert.adapter().weightFiles.count == 2)
    let error = failure { _ = try Checkpoint.open(PEFTFixture.llama.path("adapter"), onBase: nil) }
    #expect(error?.code == .invalidArgument && error?.message.contains("tiny/llama") == true)
  }

  /// With the base as the shared model an update keeps its own rank, and nothing is lost but float32's last bits.
  @Test(arguments: PEFTFixture.allCases) func keepsTheFactorsOfTheAdapter(_ fixture: PEFTFixture) throws {
    let archive = try fixture.pack(to: folder("x.tmpack"))
    let manifest = try archive.manifest(ofExpert: "x")
    let ranks = manifest.tensors.compactMap { entry -> Int? in
      entry.factor.kind == .lowRank ? entry.factor.form?.rank : nil
    }
    #expect(fixture == .dora ? ranks.isEmpty : !ranks.isEmpty && ranks.allSatisfy { (2...4).contains($0) })
    let expected = try fixture.adapter().source
    let mix = try Reconstructor(archive).mix(.expert("x"))
    #expect(try worstDifference(expected, mix) <= 4 * fixture.tolerance)
    // The tensors are the same when they are merged again.
    #expect(try Verification(archive).proveSource(ofExpert: "x", expected).isEmpty)
  }

  /// bf16 rounds the merged weights; an SVD of their difference would find components in the noise.
  @Test func roundingOfTheMergedWeightsIsNoComponent() throws {
    let archive = try PEFTFixture.bf16.pack(to: folder("x.tmpack"))
    let mix = try Reconstructor(archive).mix(.expert("x"))
    let comparison = try Comparison(PEFTFixture.bf16.adapter().source, mix)
    #expect(comparison.isEqual)
  }

  @Test func becomesADifferenceFromAnotherSharedModel() throws {
    let archive = try PEFTFixture.llama.pack(to: folder("x.tmpack"), .dense, .f32, shared: TaskArithmetic(scale: 0.5))
    let mix = try Reconstructor(archive).mix(.expert("x"))
    #expect(try worstDifference(PEFTFixture.llama.adapter().source, mix) <= 4e-6)
  }

  @Test(arguments: [3.0, 24]) func isQuantisedToo(_ quality: Double) throws {
    let fixture = PEFTFixture.embeddings
    let rate = try RateControl(.quality(quality), codecs: [.lowRank])
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: rate)
    _ = try packer.pack(
      base: fixture.base(), experts: [ExpertInput(name: "x", checkpoint: fixture.adapter())], to: folder("q.tmpack"))
    let ranks = try Archive(folder("q.tmpack")).manifest(ofExpert: "x").tensors
      .filter { $0.factor.kind == .quantizedLowRank }.compactMap(\.factor.form?.rank)
    // The updates have rank 3, and no more is found in them.
    #expect(ranks.count == 4 && ranks.allSatisfy { $0 <= 3 })
  }

  @Test func addsFilesOfTheAdapterToThoseOfTheBase() throws {
    let fixture = PEFTFixture.llama
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      try FileTree.makeFolderIfNeeded(folder("a"))
      try put(contents(fixture.path("adapter/\(name)")), at: folder("a/\(name)"))
    }
    try put(Array("mine".utf8), at: folder("a/tokenizer.json"))
    let checkpoint = try Checkpoint.open(folder("a"), onBase: AdapterBase(fixture.base()))
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
    _ = try packer.pack(
      base: fixture.base(), experts: [ExpertInput(name: "x", checkpoint: checkpoint)], to: folder("x.tmpack"))
    let mix = try Reconstructor(Archive(folder("x.tmpack"))).mix(.expert("x"))
    #expect(mix.files.map(\.name.text) == ["config.json", "tokenizer.json"])
  }

  /// The merged tensors do not depend on how they are read, and an adapter packs to the same bytes each time.
  @Test func isDeterministic() throws {
    _ = try PEFTFixture.gpt2.pack(to: folder("a"))
    _ = try PEFTFixture.gpt2.pack(to: folder("b"))
    #expect(try contents(folder("a")) == contents(folder("b")))
  }
}

extension FileTree {
  static func makeFolderIfNeeded(_ path: String) throws {
    if kind(of: path) == nil { try makeFolder(path) }
  }
}
