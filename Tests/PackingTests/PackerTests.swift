import ArchiveSupport
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct PackerTests {
  private let folder = TemporaryFolder()

  private func model(_ name: String, _ tensors: [SampleTensor]) throws -> Checkpoint {
    try writeModel(tensors, metadata: ["of": name], to: folder("\(name).safetensors"))
  }

  private func expert(_ name: String, _ tensors: [SampleTensor]) throws -> ExpertInput {
    try ExpertInput(name: name, checkpoint: model(name, tensors))
  }

  private func matrix(_ name: String, _ seed: UInt64, _ dtype: DType = .f32) throws -> SampleTensor {
    try tensor(name, dtype, [12, 10], noise(120, seed: seed))
  }

  private static func lowRank(_ rank: Int = 2, _ dtype: FactorDType = .bf16) throws -> TensorTreatment {
    .factor(try FactorPlan(.lowRank(rank: rank), dtype: dtype))
  }

  private func pack(
    _ packer: Packer, base: Checkpoint, _ experts: [ExpertInput], to name: String = "a.tmpack"
  ) throws -> Archive {
    _ = try packer.pack(base: base, experts: experts, to: folder(name), replacing: true)
    return try Archive(folder(name))
  }

  private func kinds(_ archive: Archive, _ name: String) throws -> [String: StoredFactor.Kind] {
    Dictionary(
      uniqueKeysWithValues: try archive.manifest(ofExpert: name).tensors.map { ($0.name, $0.factor.kind) })
  }

  // TMP-6-5: an unchanged tensor has no entry; TMP-4-10 counts it all the same.
  @Test func unchangedTensorsCostNothing() throws {
    let base = try [matrix("a", 1), matrix("b", 2)]
    for treatment in [TensorTreatment.exact, try Self.lowRank()] {
      let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(treatment))
      let archive = try pack(packer, base: model("base", base), [expert("same", base)])
      #expect(try archive.manifest(ofExpert: "same").tensors.isEmpty)
      #expect(try archive.file.expertSection(0).frames.isEmpty)
      #expect(archive.experts[0].summary.tensors == 2)
      #expect(archive.experts[0].summary.parameters == 240)
    }
  }

  /// By order 0 a sign takes a bit, and whether one in ten is not 0 takes 0.469 bits.
  @Test(arguments: [(FactorPlan.Method.signs, 1.0), (.ternary(density: 0.1), 0.569)])
  func signsAndTernaryFactorsAreEntropyCoded(_ method: FactorPlan.Method, _ bits: Double) throws {
    let count = 200 * 150
    let (start, moved) = (noise(count, seed: 1), noise(count, scale: 0.1, seed: 2))
    let base = try model("base", [tensor("w", .f32, [200, 150], start), tensor("b", .f32, [3], [0, 1, 2])])
    let other = try expert(
      "x", [tensor("w", .f32, [200, 150], zip(start, moved).map { $0 + $1 }), tensor("b", .f32, [3], [1, 1, 3])])
    let rules = TensorRules(.factor(try FactorPlan(method, dtype: .int8)))
    let archive = try pack(Packer(sharedModel: .merged(BaseModel()), rules: rules), base: base, [other])
    #expect(try kinds(archive, "x") == ["w": .quantized, "b": .dense])
    let payload = try #require(archive.manifest(ofExpert: "x").entry(named: "w")?.factor.payloads.first)
    #expect(Double(8 * payload.size) < 1.02 * bits * Double(count))
    #expect(try Verification(archive).proveSource(ofExpert: "x", other.checkpoint.source).isEmpty)
    // With s the signs that are kept, v's part along s is all that is: ‖v − decoded‖² = ‖v‖² − (v·s)² ÷ ‖s‖².
    let kept = moved.map { Double($0).magnitude }.sorted(by: >).prefix(method == .signs ? count : count / 10)
    let energy = moved.reduce(0) { $0 + Double($1) * Double($1) }
    let along = kept.reduce(0, +)
    let error = try #require(archive.manifest(ofExpert: "x").entry(named: "w")?.measures?.error.value)
    #expect(abs(error - (1 - along * along / Double(kept.count) / energy).squareRoot()) < 1e-4)
  }

  @Test func theSignOfZeroIsKeptExactlyOnly() throws {
    let base = try model("base", [tensor("t", .f32, [3], [0, 1, 2])])
    let other = try expert("x", [tensor("t", .f32, [3], [-0.0, 1, 2])])
    let lossy = try pack(
      Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(Self.lowRank())), base: base, [other])
    #expect(try kinds(lossy, "x").isEmpty)
    #expect(try Verification(lossy).proveSource(ofExpert: "x", other.checkpoint.source).isEmpty)
    let exact = try pack(Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact)), base: base, [other])
    #expect(try kinds(exact, "x") == ["t": .difference])
  }

  // TMP-5-4: tied tensors, and equal tensors of different experts, are stored once.
  @Test func equalTensorsAreStoredOnce() throws {
    func models(_ count: Int) throws -> [SampleTensor] {
      let values = noise(20_000, seed: 1)
      return try (0..<count).map { try tensor("t\($0)", .f32, [200, 100], values) }
    }
    let rules = TensorRules(.exact)
    func size(_ tensors: Int, _ experts: Int) throws -> UInt64 {
      let base = try tensor("anchor", .f32, [1], [0])
      let inputs = try (0..<experts).map { try expert("x\($0)", [base] + models(tensors)) }
      return try pack(Packer(sharedModel: .merged(BaseModel()), rules: rules), base: model("base", [base]), inputs).size
    }
    let once = try size(1, 1)
    #expect(once > 60_000)
    #expect(try size(4, 1) < once + 2000)
    #expect(try size(1, 4) < once + 4000)
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity]) func refusesNonFiniteByName(_ value: Double) throws {
    var values = noise(120, seed: 2)
    values[77] = value
    let base = try model("base", [matrix("ok", 3), matrix("t", 1)])
    let broken = try expert("broken", [matrix("ok", 4), tensor("t", .f32, [12, 10], values)])
    let rules = TensorRules(try Self.lowRank())
    for method in [BaseModel(), TaskArithmetic()] as [any MergingMethod] {
      let error = failure { _ = try pack(Packer(sharedModel: .merged(method), rules: rules), base: base, [broken]) }
      #expect(error?.code == .nonFinite)
      #expect(error?.tensor == "t")
      #expect(error?.expert == "broken")
      #expect(error?.message.contains("element 77") == true)
      #expect(FileTree.kind(of: folder("a.tmpack")) == nil)
    }
    for rules in [TensorRules(.exact), TensorRules(try Self.lowRank(), excluding: [try Glob("t")])] {
      let archive = try pack(Packer(sharedModel: .merged(BaseModel()), rules: rules), base: base, [broken])
      let mix = try Reconstructor(archive).mix(.expert("broken"))
      #expect(try bytes(of: mix, "t") == bytes(of: broken.checkpoint.source, "t"))
    }
  }

  @Test func rulesChooseTheTreatment() throws {
    let names = ["head.weight", "layers.0.weight", "layers.1.bias", "layers.1.weight"]
    let base = try model("base", names.map { try matrix($0, 1) })
    let input = try expert("x", names.enumerated().map { try matrix($1, UInt64($0) + 5) })
    func treated(_ rules: TensorRules) throws -> [StoredFactor.Kind] {
      let archive = try pack(Packer(sharedModel: .merged(BaseModel()), rules: rules), base: base, [input])
      let kinds = try kinds(archive, "x")
      return names.map { kinds[$0]! }
    }
    let lowRank = try Self.lowRank()
    let sparse = TensorTreatment.factor(try FactorPlan(.sparse(density: 0.1), dtype: .f16))
    let glob = { (text: String) in try Glob(text) }
    #expect(try treated(TensorRules(lowRank)) == [.lowRank, .lowRank, .lowRank, .lowRank])
    #expect(
      try treated(TensorRules(lowRank, including: [glob("layers.*")])) == [.difference, .lowRank, .lowRank, .lowRank])
    #expect(
      try treated(TensorRules(lowRank, including: [glob("layers.*")], excluding: [glob("*.bias")]))
        == [.difference, .lowRank, .difference, .lowRank])
    // The last override that matches wins, over exclusion too.
    #expect(
      try treated(
        TensorRules(
          lowRank, overrides: [(glob("*.weight"), .exact), (glob("layers.1.*"), sparse)], excluding: [glob("*")]))
        == [.difference, .difference, .sparse, .sparse])
  }

  // TMP-6-11: a rank is at least 1, whatever share of a small matrix was asked for.
  @Test func ranksAreNeverZero() throws {
    let base = try model("base", [matrix("m", 1), tensor("v", .f32, [5], noise(5, seed: 3))])
    let input = try expert("x", [matrix("m", 2), tensor("v", .f32, [5], noise(5, seed: 4))])
    let plan = try FactorPlan(.lowRankRatio(0.001), dtype: .int4)
    let archive = try pack(
      Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(plan))), base: base, [input])
    let entries = try archive.manifest(ofExpert: "x").tensors
    #expect(entries[0].factor.kind == .lowRank && entries[0].factor.form?.rank == 1)
    #expect(entries[1].factor.kind == .dense)
  }

  @Test func refusesAnotherArchitecture() throws {
    let base = try model("base", [matrix("t", 1)])
    let other = try expert("other", [tensor("t", .f32, [3], [1, 2, 3]), matrix("u", 1)])
    let error = failure { _ = try pack(Packer(rules: TensorRules(.exact)), base: base, [other]) }
    #expect(error?.code == .shapeMismatch)
    #expect(error?.expert == "other")
    #expect(error?.tensor == "t")
  }

  @Test func refusesBadRequests() throws {
    let base = try model("base", [matrix("t", 1)])
    let input = try expert("x", [matrix("t", 2)])
    let packer = Packer(rules: TensorRules(.exact))
    #expect(code { _ = try pack(packer, base: base, []) } == .invalidArgument)
    #expect(code { _ = try pack(packer, base: base, [input, input]) } == .invalidArgument)
    #expect(code { _ = try packer.pack(base: nil, experts: [input], to: folder("a.tmpack")) } == .invalidArgument)
    #expect(
      code { _ = try pack(Packer(rules: TensorRules(.exact), isDetached: true), base: base, [input]) }
        == .invalidArgument)
    _ = try pack(packer, base: base, [input])
    #expect(code { _ = try packer.pack(base: base, experts: [input], to: folder("a.tmpack")) } == .outputExists)
    #expect(code { _ = try packer.add([input], to: Archive(folder("a.tmpack"))) } == .invalidArgument)
  }

  // TMP-6-4, TMP-6-24: the model is bound by its tensors' digests and checksums; tensors that the archive does not name are ignored.
  @Test func detachedArchivesNeedTheirModel() throws {
    let tensors = try [matrix("a", 1), matrix("b", 2), matrix("c", 3)]
    let base = try model("base", tensors)
    let input = try expert("x", [matrix("a", 4), matrix("b", 5), matrix("c", 6)])
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact), isDetached: true)
    let archive = try pack(packer, base: base, [input])
    #expect(archive.isDetached)
    #expect(code { _ = try digests(of: Reconstructor(archive).mix(.expert("x"))) } == .invalidArgument)
    #expect(try Verification(archive).run(.deep).isSound)
    func open(_ source: any TensorSource) throws -> Archive {
      try Archive(folder("a.tmpack"), sharedModel: source)
    }
    let more = try model("more", tensors + [matrix("z", 9)])
    let rebuilt = try Reconstructor(open(more.source)).mix(.expert("x"))
    #expect(try digests(of: rebuilt) == digests(of: input.checkpoint.source))
    #expect(try Verification(open(base.source)).run(.deep).isSound)
    // Without a tensor, with one of another shape, with other bytes: each is named.
    let lacking = failure { _ = try open(model("lacking", [tensors[0], tensors[2]]).source) }
    #expect(lacking?.code == .baseMismatch && lacking?.tensor == "b")
    let reshaped = failure {
      _ = try open(model("shape", [tensors[0], tensor("b", .f32, [120], noise(120, seed: 2)), tensors[2]]).source)
    }
    #expect(reshaped?.code == .baseMismatch && reshaped?.tensor == "b")
    let changed = try open(model("changed", [tensors[0], matrix("b", 7), matrix("c", 8)]).source)
    let other = failure { _ = try digests(of: Reconstructor(changed).mix(.shared)) }
    #expect(other?.code == .baseMismatch && other?.tensor == "b")
    #expect(try Verification(changed).run(.deep).faults.first?.tensor == "b")
  }

  // TMP-6-16: provenance says which files a section was made from.
  @Test func recordsProvenance() throws {
    let base = try model("base", [matrix("t", 1)])
    let input = try expert("x", [matrix("t", 2)])
    let packer = Packer(
      sharedModel: .merged(TaskArithmetic(scale: 0.25)), rules: TensorRules(.exact), options: ["rank": "2"])
    let archive = try pack(packer, base: base, [input])
    #expect(archive.method == SharedMethod(.taskArithmetic, parameters: ["lambda": "0.25"]))  // TMP-4-9
    let manifest = try archive.manifest(ofExpert: "x")
    let file = try contents(input.checkpoint.path)
    #expect(manifest.provenance.tool == TMPackVersion.tool)
    #expect(manifest.provenance.options == ["rank": "2"])
    #expect(
      manifest.provenance.sources
        == [SourceRecord(name: "x.safetensors", size: UInt64(file.count), digest: ContentDigest(of: file))])
    #expect(manifest.metadata == ["of": "x", "format": "pt"])
    #expect(try archive.sharedManifest().provenance.sources.map(\.name) == ["base.safetensors"])
  }

  @Test func notesSayWhatIsUnusual() throws {
    let base = try model(
      "base",
      [
        matrix("a", 1), matrix("b", 2), matrix("c", 3), tensor("n", .i32, [1], bytes: [1, 0, 0, 0]), matrix("s", 4),
      ])
    let input = try expert(
      "x",
      [
        matrix("a", 9), matrix("b", 2, .f16), tensor("c", .f32, [1], [1]), tensor("n", .i32, [1], bytes: [2, 0, 0, 0]),
        matrix("new", 5),
      ])
    let summary = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(Self.lowRank()))
      .pack(base: base, experts: [input], to: folder("a.tmpack"))
    #expect(
      summary.notes.map { "\($0.reason) \($0.count) \($0.example)" } == [
        "absentFromBase 1 new", "otherShape 1 c", "otherDType 1 b", "integer 1 n", "absentFromExpert 1 s",
      ])
  }

  @Test func bytesDoNotDependOnThreads() throws {
    var files: [[UInt8]] = []
    for threads in 1...3 {
      var random = SeededGenerator(seed: 5)
      let sample = try RandomModels(using: &random, in: folder, name: "m")
      let packer = Packer(rules: sample.packer.rules, pipeline: OrderedPipeline(threads: threads))
      _ = try pack(packer, base: sample.base, sample.experts)
      files.append(try contents(folder("a.tmpack")))
    }
    #expect(files[0] == files[1] && files[0] == files[2])
  }

  /// Digests of all that an expert's section holds.
  private func digestsOfExperts(_ archive: Archive) throws -> [String: [String]] {
    let reconstructor = try Reconstructor(archive)
    return Dictionary(
      uniqueKeysWithValues: try archive.experts.map { ($0.name, try digests(of: reconstructor.mix(.expert($0.name)))) })
  }

  @Test(arguments: 0..<6 as Range<UInt64>) func addingIsLikePackingTogether(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let sample = try RandomModels(using: &random, in: folder, name: "m")
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: sample.packer.rules)
    let together = try pack(packer, base: sample.base, sample.experts, to: "together")
    _ = try pack(packer, base: sample.base, [sample.experts[0]], to: "grown")
    _ = try packer.add([sample.experts[1]], to: Archive(folder("grown")))
    let grown = try Archive(folder("grown"))
    #expect(try digestsOfExperts(together) == digestsOfExperts(grown))
    #expect(
      try together.manifest(ofExpert: "two").tensors.map(\.measures)
        == grown.manifest(ofExpert: "two").tensors.map(\.measures))
  }

  @Test(arguments: 0..<6 as Range<UInt64>) func removingKeepsTheOthers(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed + 100)
    let sample = try RandomModels(using: &random, in: folder, name: "m")
    let archive = try sample.pack()
    var expected = try digestsOfExperts(archive)
    let size = try archive.write(without: ["one"], to: folder("less"), replacing: false)
    let less = try Archive(folder("less"))
    expected["one"] = nil
    #expect(try digestsOfExperts(less) == expected)
    #expect(less.file.slot.generation == 1)
    #expect(size <= archive.size)
    #expect(try Verification(less).run(.deep).isSound)
    // Over itself, and down to the shared model.
    try less.write(without: less.experts.map(\.name), to: folder("less"), replacing: true)
    let bare = try Archive(folder("less"))
    #expect(bare.experts.isEmpty)
    #expect(try digests(of: Reconstructor(bare).mix(.shared)) == digests(of: Reconstructor(archive).mix(.shared)))
    #expect(code { try archive.write(without: ["nobody"], to: folder("x"), replacing: false) } == .unknownName)
  }

  @Test func filesTravel() throws {
    let config = Array(#"{"a": 1}"#.utf8)
    let base = try writeModel(
      [matrix("t", 1)], files: [("config.json", config), ("sub/vocab.txt", [1, 2])], to: folder("base"))
    let own = try ExpertInput(
      name: "own",
      checkpoint: writeModel([matrix("t", 2)], files: [("config.json", [7])], to: folder("own")))
    let archive = try pack(Packer(rules: TensorRules(.exact)), base: base, [own, expert("lone", [matrix("t", 3)])])
    func files(_ text: String) throws -> [String: [UInt8]] {
      let mix = try Reconstructor(archive).mix(weights(text))
      return Dictionary(uniqueKeysWithValues: try mix.files.map { ($0.name.text, try $0.bytes()) })
    }
    let shared = ["config.json": config, "sub/vocab.txt": [1, 2]]
    #expect(try files("") == shared)
    #expect(try files("own=1") == ["config.json": [7]])
    // A lone file has no configuration of its own.
    #expect(try files("lone=1") == shared)
    // TMP-7-11
    #expect(try files("lone=1,own=1") == ["config.json": [7]])
  }
}
