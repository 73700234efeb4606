import ArchiveSupport
import TMPackAdapterExport
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackJSON
import TMPackLlamaCpp
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct AdapterExportTests {
  let folder = TemporaryFolder()

  private func options(_ change: (inout AdapterExport.Options) -> Void) -> AdapterExport.Options {
    var options = AdapterExport.Options()
    change(&options)
    return options
  }

  /// What the exported adapter makes of the shared model, by our own reader.
  private func merged(_ archive: Archive) throws -> any TensorSource {
    let shared = try Reconstructor(archive).mix(.shared)
    return try Checkpoint.open(folder("lora"), onBase: AdapterBase(shared)).source
  }

  private func configuration() throws -> JSONObject {
    try JSONValue(parsing: contents(folder("lora/adapter_config.json"))).asObject("")
  }

  /// Whole tensors go along where the fixture has them.
  private func export(
    _ archive: Archive, _ weights: RouterWeights = .expert("x"), _ options: AdapterExport.Options
  ) throws -> AdapterExport {
    let export = try AdapterExport(archive, weights, options: options)
    try export.write(to: folder("lora"), replacing: true)
    return export
  }

  /// What llama.cpp computes with: W + B A under its names, and with its order of rows (Spec/gguf-models.md, rules 20 to 25).
  @Test(arguments: [PEFTFixture.llama, .gpt2, .embeddings]) func llamaCppLoadsIt(_ fixture: PEFTFixture) throws {
    let archive = try fixture.pack(to: folder("x.tmpack"))
    let export = try AdapterExport(
      archive, .expert("x"),
      options: options {
        $0.target = .llamaCpp
        $0.rank = 8
      })
    try export.stageFile(folder("x.gguf")).output.commit()
    let adapter = try Checkpoint.open(folder("x.gguf")).source
    #expect(adapter.typedMetadata["general.type"] == .string("adapter"))
    #expect(adapter.typedMetadata["general.architecture"] == .string(fixture == .gpt2 ? "gpt2" : "llama"))
    guard case .float32(let alpha)? = adapter.typedMetadata["adapter.lora.alpha"] else {
      Issue.record("no alpha")
      return
    }

    func runnable(_ weights: RouterWeights) throws -> any TensorSource {
      let mix = try Reconstructor(archive).mix(weights)
      return try #require(try RunnableModel(mix, files: mix.files.map(\.content))).source
    }
    func values(_ source: any TensorSource, _ name: String) throws -> (rows: Int, columns: Int, elements: [Float]) {
      let info = try #require(source.tensor(named: name))
      let raw = try source.bytes(of: info)
      var elements = [Float](repeating: 0, count: info.shape.elementCount)
      try raw.withBytes { bytes in elements.withUnsafeMutableBufferPointer { FloatFormat.f32.widen(bytes, into: $0) } }
      return (info.shape.dimensions[0], info.shape.dimensions[1], elements)
    }
    let shared = try runnable(.shared)
    let expert = try runnable(.expert("x"))
    var adapted: Set<String> = []
    for info in adapter.tensors where info.name.hasSuffix(".lora_a") {
      let name = String(info.name.dropLast(7))
      adapted.insert(name)
      let (a, b) = (try values(adapter, info.name), try values(adapter, name + ".lora_b"))
      let (base, own) = (try values(shared, name), try values(expert, name))
      let rank = b.columns
      let isEmbedding = name == "token_embd.weight"
      var worst: Float = 0
      for row in 0..<base.rows {
        for column in 0..<base.columns {
          var sum: Float = 0
          for k in 0..<rank {
            sum +=
              isEmbedding
              ? a.elements[row * rank + k] * b.elements[column * rank + k]
              : b.elements[row * rank + k] * a.elements[k * a.columns + column]
          }
          let place = row * base.columns + column
          let scale = alpha == 0 ? 1 : alpha / Float(rank)
          worst = max(worst, abs(base.elements[place] + scale * sum - own.elements[place]))
        }
      }
      #expect(worst < 1e-5, "\(name)")
    }
    // And nothing else differs but what is named.
    let left = Set(
      export.leftOut.compactMap { try? AdapterPlaces(files: archiveFiles(archive)).place(of: $0.tensor)?.name })
    for info in expert.tensors where !adapted.contains(info.name) && !left.contains(info.name) {
      #expect(try bytes(of: shared, info.name) == bytes(of: expert, info.name), "\(info.name)")
    }
    #expect(!adapted.isEmpty)
  }

  private func archiveFiles(_ archive: Archive) throws -> [CarriedContent] {
    try Reconstructor(archive).mix(.shared).files.map(\.content)
  }

  /// Rank 8 reaches everything in these small matrices, also what is not stored as a low-rank factor.
  @Test(arguments: PEFTFixture.allCases, [FloatFormat.f32, .bf16])
  func holdsTheExpert(_ fixture: PEFTFixture, _ dtype: FloatFormat) throws {
    let archive = try fixture.pack(to: folder("x.tmpack"))
    let export = try export(
      archive, .expert("x"),
      options {
        $0.dtype = dtype
        $0.savesModules = true
        $0.rank = fixture == .convolutions ? nil : 8
      })
    #expect(export.leftOut.isEmpty)
    let mix = try Reconstructor(archive).mix(.expert("x"))
    let tolerance = dtype == .bf16 ? 0x1p-5 : 4 * fixture.tolerance
    #expect(try worstDifference(mix, merged(archive)) <= tolerance)
  }

  @Test(.enabled(if: Python.runs("import numpy"), "needs python3 with numpy"))
  func numPyAgreesOnTheAlgebra() throws {
    for fixture in [PEFTFixture.llama, .gpt2, .embeddings, .convolutions] {
      let archive = try fixture.pack(to: folder("x.tmpack"))
      _ = try export(archive, .expert("x"), options { $0.rank = fixture == .llama ? 8 : nil })
      let reconstructor = try Reconstructor(archive)
      try CheckpointDestination(folder("shared.safetensors"), replacing: true).write(reconstructor.mix(.shared))
      try CheckpointDestination(folder("x.safetensors"), replacing: true).write(reconstructor.mix(.expert("x")))
      let result = try #require(
        Python.run([
          FileTree.join(packageRoot, "Fixtures/foreign/check_adapter.py"), folder("shared.safetensors"), folder("lora"),
          folder("x.safetensors"),
        ]))
      #expect(result.code == 0, "\(fixture): \(result.talk)")
    }
  }

  @Test(
    .enabled(if: Python.runs("import torch, peft, transformers"), "needs Python with torch, peft and transformers"),
    arguments: PEFTFixture.allCases, [false, true])
  func peftLoadsIt(_ fixture: PEFTFixture, _ isPadded: Bool) throws {
    let archive = try fixture.pack(to: folder("x.tmpack"))
    _ = try export(
      archive, .expert("x"),
      options {
        $0.savesModules = true
        $0.isPadded = isPadded
        $0.rank = fixture == .convolutions ? nil : 8
      })
    let reconstructor = try Reconstructor(archive)
    try CheckpointDestination(folder("shared")).write(reconstructor.mix(.shared))
    try CheckpointDestination(folder("unpacked")).write(reconstructor.mix(.expert("x")))
    let result = try #require(
      Python.run(
        [
          "-B", FileTree.join(packageRoot, "Fixtures/foreign/check_peft.py"), fixture.rawValue, folder("shared"),
          folder("lora"), folder("unpacked"),
        ]))
    #expect(result.code == 0, "\(result.talk)")
  }

  /// Two experts of one base: `x`, and `y` with the same adapter at other strengths.
  private func pair() throws -> Archive {
    let fixture = PEFTFixture.embeddings
    let rules = TensorRules(.factor(try FactorPlan(.lowRank(rank: 1), dtype: .int8, keepsKnownRank: true)))
    let experts = try ["x", "y"].map { try ExpertInput(name: $0, checkpoint: fixture.adapter()) }
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules)
      .pack(base: fixture.base(), experts: experts, to: folder("pair.tmpack"))
    return try Archive(folder("pair.tmpack"))
  }

  @Test func putsTheFactorsOfAMixOneAfterAnother() throws {
    let archive = try pair()
    let weights = try RouterWeights(parsing: "x=0.7,y=-0.3")
    let export = try export(archive, weights, options { _ in })
    #expect(export.rank == 6 && !export.hasRankPattern)
    #expect(try worstDifference(Reconstructor(archive).mix(weights), merged(archive)) <= 4e-6)
    // The two are one adapter: rank 3 holds them, and the rest is rounding.
    let small = try AdapterExport(archive, weights, options: options { $0.rank = 3 })
    let report = try small.write(to: folder("small"))
    #expect(small.rank == 3)
    #expect(try #require(report.error) < 1e-6)
    let less = try AdapterExport(archive, weights, options: options { $0.rank = 1 })
    let error = try #require(try less.write(to: folder("less")).error)
    #expect(error > 0.1 && error < 1)
  }

  /// The recorded error is that of the weights.
  @Test func measuresWhatTruncationLoses() throws {
    let archive = try pair()
    let export = try AdapterExport(archive, .expert("x"), options: options { $0.rank = 2 })
    let report = try export.write(to: folder("lora"))
    let mix = try Reconstructor(archive).mix(.expert("x"))
    let shared = try Reconstructor(archive).mix(.shared)
    let lost = try Comparison(mix, merged(archive)).tensors.reduce(0) { $0 + $1.difference!.differenceSquares }
    let whole = try Comparison(mix, shared).tensors.reduce(0) { $0 + $1.difference!.differenceSquares }
    #expect(abs(try #require(report.error) - (lost / whole).squareRoot()) < 1e-4)
    #expect(try #require(report.worstError) >= report.error!)
  }

  @Test func configurationIsWhatPeftWants() throws {
    let archive = try PEFTFixture.llama.pack(to: folder("x.tmpack"))
    let export = try export(
      archive, .expert("x"),
      options {
        $0.rank = 8
        $0.baseModel = "shared"
      })
    #expect(export.hasRankPattern)
    var object = try configuration()
    #expect(object["peft_type"] == "LORA" && object["task_type"] == "CAUSAL_LM")
    #expect(object["r"] == object["lora_alpha"] && object["r"] == .integer(Int64(export.rank)))
    #expect(object["rank_pattern"] == object["alpha_pattern"])
    #expect(object["target_modules"] == ["down_proj", "q_proj", "v_proj"])
    #expect(object["base_model_name_or_path"] == "shared" && object["modules_to_save"] == .null)
    _ = try self.export(
      archive, .expert("x"),
      options {
        $0.isPadded = true; $0.rank = 8
      })
    object = try configuration()
    #expect(object["rank_pattern"] == nil)
    let shapes = try Checkpoint.open(folder("lora/adapter_model.safetensors")).source.tensors.map(\.shape.dimensions)
    #expect(shapes.allSatisfy { $0.contains(8) })
  }

  /// Only the module that is updated is named, where others end alike.
  @Test func namesModulesWholeWhereTheEndIsNotEnough() throws {
    let base = try writeModel(
      [
        try tensor("a.0.q.weight", .f32, [8, 8], noise(64, seed: 1)),
        try tensor("a.1.q.weight", .f32, [8, 8], noise(64, seed: 2)),
      ], to: folder("base"))
    let changed = zip(noise(64, seed: 1), 0..<64).map { $0 + Double($1 / 8) * 0.1 }
    let expert = try writeModel(
      [
        try tensor("a.0.q.weight", .f32, [8, 8], changed),
        try tensor("a.1.q.weight", .f32, [8, 8], noise(64, seed: 2)),
      ],
      to: folder("expert"))
    let rules = TensorRules(.factor(try FactorPlan(.lowRank(rank: 1), dtype: .f32)))
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules)
      .pack(base: base, experts: [ExpertInput(name: "x", checkpoint: expert)], to: folder("x.tmpack"))
    _ = try export(Archive(folder("x.tmpack")), .expert("x"), options { $0.prefix = "model." })
    #expect(try configuration()["target_modules"] == ["model.a.0.q"])
    #expect(
      try Checkpoint.open(folder("lora/adapter_model.safetensors")).source.tensors.map(\.name) == [
        "base_model.model.model.a.0.q.lora_A.weight", "base_model.model.model.a.0.q.lora_B.weight",
      ])
  }

  @Test func saysWhatItLeavesOut() throws {
    let archive = try PEFTFixture.bert.pack(to: folder("x.tmpack"))
    let plain = try AdapterExport(archive, .expert("x"))
    #expect(plain.leftOut.contains { $0.tensor == "classifier.bias" && $0.reason == .vector })
    #expect(plain.leftOut.contains { $0.tensor == "classifier.weight" && $0.reason == .notAdaptable })
    #expect(plain.savedModules.isEmpty && plain.wholeTensorCount == 0)
    let saving = try AdapterExport(archive, .expert("x"), options: options { $0.savesModules = true })
    #expect(saving.savedModules == ["classifier"] && saving.leftOut.isEmpty)
  }

  /// A factor in two layers is no product: it goes into an adapter by its rank, or stays out.
  @Test func doesNotTakeLayeredFactorsForProducts() throws {
    let base = noise(64 * 64, seed: 3)
    let changed = zip(base, noise(64 * 64, scale: 0.1, seed: 4)).map { $0 + $1 }
    let input = try ExpertInput(
      name: "x",
      checkpoint: writeModel([tensor("a.0.q.weight", .f32, [64, 64], changed)], to: folder("layered-expert")))
    let rate = try RateControl(.error(0.1), codecs: [.layered])
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: rate).pack(
      base: writeModel([tensor("a.0.q.weight", .f32, [64, 64], base)], to: folder("layered-base")), experts: [input],
      to: folder("layered.tmpack"))
    let archive = try Archive(folder("layered.tmpack"))
    #expect(try archive.manifest(ofExpert: "x").tensors.map(\.factor.kind) == [.quantizedLayered])
    #expect(code { _ = try AdapterExport(archive, .expert("x")) } == .invalidArgument)
    let export = try AdapterExport(archive, .expert("x"), options: options { $0.rank = 64 })
    #expect(try #require(export.write(to: folder("layered-lora")).error) < 1e-5)
  }

  @Test func refusesWhatItCannotDo() throws {
    let archive = try PEFTFixture.dora.pack(to: folder("x.tmpack"))
    #expect(code { _ = try AdapterExport(archive, .expert("x")) } == .invalidArgument)
    #expect(code { _ = try AdapterExport(archive, .expert("y")) } == .unknownName)
    #expect(code { _ = try AdapterExport(archive, .shared) } == .invalidArgument)
    #expect(code { _ = try AdapterExport(archive, .expert("x"), options: options { $0.rank = 0 }) } == .invalidArgument)
    let large = try RouterWeights([("x", 1e30)])
    let export = try AdapterExport(
      archive, large,
      options: options {
        $0.rank = 4
        $0.dtype = .f16
      })
    let error = failure { try export.write(to: folder("lora")) }
    #expect(error?.code == .nonFinite && error?.tensor != nil)
    #expect(FileTree.kind(of: folder("lora")) == nil)
  }

  @Test(arguments: [1, 4]) func doesNotDependOnThreads(_ threads: Int) throws {
    let archive = try PEFTFixture.llama.pack(to: folder("x.tmpack"))
    let export = try AdapterExport(archive, .expert("x"), options: options { $0.rank = 3 })
    try export.write(to: folder("a"), threads: threads)
    try export.write(to: folder("b"), threads: 2)
    #expect(try contents(folder("a/adapter_model.safetensors")) == contents(folder("b/adapter_model.safetensors")))
  }
}
