import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Tensors that only an expert has, such as the head of its task.
@Suite struct OwnTensorTests {
  private let folder = TemporaryFolder()

  private static let count = 40 * 64

  private func head(
    _ dtype: DType = .f32, name: String = "head.weight", shape: [Int] = [40, 64], scale: Double = 0.05, seed: UInt64 = 5
  ) throws -> SampleTensor {
    try tensor(name, dtype, shape, noise(shape.reduce(1, *), scale: scale, seed: seed))
  }

  private func body(_ seed: UInt64?) throws -> SampleTensor {
    let base = noise(48 * 32, seed: 1)
    let own = seed.map { zip(base, noise(48 * 32, scale: 0.1, seed: $0)).map { $0 + $1 } } ?? base
    return try tensor("body.weight", .f32, [48, 32], own)
  }

  private func pack(
    _ own: [SampleTensor], _ target: RateControl.Target = .quality(4), rules: TensorRules = TensorRules(.controlled),
    isExact: Bool = false, objective: RateControl.Objective = .balanced
  ) throws -> Archive {
    _ = try Packer(
      sharedModel: .merged(BaseModel()), rules: rules, rate: RateControl(target, objective: objective),
      storesCorrections: isExact
    ).pack(
      base: writeModel([body(nil)], to: folder("base.safetensors")),
      experts: [
        ExpertInput(name: "a", checkpoint: writeModel(own + [body(2)], to: folder("a.safetensors")))
      ], to: folder("zoo.tmpack"), replacing: true)
    return try Archive(folder("zoo.tmpack"))
  }

  private func entry(_ archive: Archive, _ name: String) throws -> ExpertEntry {
    try #require(try archive.manifest(ofExpert: "a").entry(named: name))
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Float] {
    let info = try #require(source.tensor(named: name))
    let format = try #require(info.dtype.floatFormat)
    return try source.bytes(of: info).withBytes { raw in
      [Float](unsafeUninitializedCapacity: info.shape.elementCount) { values, count in
        count = info.shape.elementCount
        format.widen(raw, into: UnsafeMutableBufferPointer(rebasing: values[..<count]))
      }
    }
  }

  // TMP-6-33, TMP-7-19: a step of a tenth of the RMS loses a tenth ÷ √12; in fewer than seven bits an element.
  @Test(arguments: [DType.f32, .bf16, .f16, .f64]) func areQuantisedFinely(_ dtype: DType) throws {
    let head = try head(dtype)
    let archive = try pack([head])
    let entry = try entry(archive, "head.weight")
    #expect(entry.factor.kind == .quantizedOwn)
    #expect(entry.factor.payloads[0].size < Self.count * 7 / 8)
    let mix = try Reconstructor(archive).mix(RouterWeights(parsing: "a=1"))
    #expect(mix.tensor(named: "head.weight")?.dtype == dtype)
    let own = try floats(MemoryTensorSource([head]), "head.weight")
    let rebuilt = try floats(mix, "head.weight")
    let squares = own.reduce(0) { $0 + Double($1) * Double($1) }
    let lost = zip(own, rebuilt).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    let error = (lost / squares).squareRoot()
    #expect((0.025...0.035).contains(error))
    let measures = try #require(entry.measures)
    // The rounding to the dtype comes on top of what is recorded.
    #expect(abs(measures.error.value - error) < 1e-3)
    #expect(abs(measures.norm.value / squares.squareRoot() - 1) < 1e-6)
    #expect(try Verification(archive).run(.deep).isSound)
  }

  // TMP-7-3: the heaviest expert decides, and no weight scales what it has.
  @Test func areTheDecidersWhateverTheWeights() throws {
    _ = try Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: RateControl(.quality(4))
    ).pack(
      base: writeModel([body(nil)], to: folder("base.safetensors")),
      experts: ["a", "b"].enumerated().map { number, name in
        let own = try [head(seed: UInt64(10 + number)), body(UInt64(2 + number))]
        return try ExpertInput(name: name, checkpoint: writeModel(own, to: folder("\(name).safetensors")))
      }, to: folder("zoo.tmpack"))
    let reconstructor = try Reconstructor(Archive(folder("zoo.tmpack")))
    func own(_ weights: String) throws -> [Float] {
      try floats(reconstructor.mix(RouterWeights(parsing: weights)), "head.weight")
    }
    let (a, b) = (try own("a=1"), try own("b=1"))
    #expect(a != b)
    #expect(try own("a=0.5,b=0.25") == a)
    #expect(try own("a=-3,b=0.25") == b)
    let halved = try reconstructor.mix(RouterWeights(parsing: "a=1"), dtype: .bf16)
    #expect(try floats(halved, "head.weight") == a.map { Float(bitPattern: UInt32(bf16Bits($0)) << 16) })
  }

  private func bf16Bits(_ value: Float) -> UInt16 {
    UInt16(truncatingIfNeeded: (value.bitPattern + 0x7FFF + (value.bitPattern >> 16 & 1)) >> 16)
  }

  /// What nothing says to be a matrix of weights, or is too small, or is asked for exactly.
  @Test func othersStayExact() throws {
    let own = try [
      head(name: "table", seed: 6), head(name: "norm.weight", shape: [2560], seed: 7),
      head(name: "small.weight", shape: [10, 10], seed: 8),
      tensor("codes.weight", .i32, [40, 64], bytes: [UInt8](repeating: 1, count: 4 * Self.count)),
      tensor("zeros.weight", .f32, [40, 64], [Double](repeating: 0, count: Self.count)),
      tensor("mask.weight", .f32, [40, 64], noise(Self.count, seed: 9).map { $0 < 0 ? -.infinity : 0 }),
    ]
    let archive = try pack(own)
    for sample in own {
      #expect(try entry(archive, sample.info.name).factor.kind == .replaced, "\(sample.info.name)")
      let mix = try Reconstructor(archive).mix(RouterWeights(parsing: "a=1"))
      #expect(try mix.bytes(of: sample.info).hasSameBytes(as: sample.bytes), "\(sample.info.name)")
    }
  }

  @Test func rulesAndCorrectionsKeepThem() throws {
    let own = try [head()]
    let excluded = TensorRules(.controlled, excluding: [try Glob("head*")])
    #expect(try entry(pack(own, rules: excluded), "head.weight").factor.kind == .replaced)
    let overridden = TensorRules(.controlled, overrides: [(try Glob("head*"), .exact)])
    #expect(try entry(pack(own, rules: overridden), "head.weight").factor.kind == .replaced)
    // TMP-6-18: where all that is lossy has a correction, nothing may be without.
    let exact = try pack(own, isExact: true)
    #expect(try entry(exact, "head.weight").factor.kind == .replaced)
    #expect(try exact.manifest(ofExpert: "a").isExact)
    let ranked = TensorRules(.factor(try FactorPlan(.lowRank(rank: 2), dtype: .bf16)))
    #expect(try entry(pack(own, rules: ranked), "head.weight").factor.kind == .replaced)
  }

  // A tensor of another shape than the shared one is near to that: a step of its own size would drown what was trained.
  @Test func tensorsOfAnotherShapeStayExact() throws {
    let base = try [body(nil), head(shape: [44, 64])]
    _ = try Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: RateControl(.quality(4))
    ).pack(
      base: writeModel(base, to: folder("base.safetensors")),
      experts: [
        ExpertInput(name: "a", checkpoint: writeModel([body(2), head()], to: folder("a.safetensors")))
      ], to: folder("zoo.tmpack"))
    #expect(try entry(Archive(folder("zoo.tmpack")), "head.weight").factor.kind == .replaced)
  }

  @Test(arguments: [0.5, 0.02, 0.004], RateControl.Objective.allCases) func errorsHoldForThem(
    _ error: Double, _ objective: RateControl.Objective
  ) throws {
    let archive = try pack([head()], .error(error), objective: objective)
    let measures = try #require(try entry(archive, "head.weight").measures)
    #expect(measures.error.value <= error)
    let summary = try #require(archive.experts[0].summary.error)
    #expect(summary.value <= error)
  }

  @Test func budgetsHoldWithThem() throws {
    let archive = try pack([head()], .bytesPerExpert(4000))
    #expect(try entry(archive, "head.weight").factor.kind == .quantizedOwn)
    #expect((3800...4000).contains(archive.experts[0].summary.bytes))
  }

  // TMP-6-6, TMP-8-3
  @Test func verificationWithTheCheckpointMeasuresThem() throws {
    let archive = try pack([head(.bf16)])
    let verification = Verification(archive)
    let own = try Checkpoint.open(folder("a.safetensors")).source
    #expect(try verification.proveSource(ofExpert: "a", own).isEmpty)
    let other = try writeModel([head(.bf16, seed: 99), body(2)], to: folder("other.safetensors")).source
    #expect(try verification.proveSource(ofExpert: "a", other).faults.map(\.tensor) == ["head.weight"])
  }
}
