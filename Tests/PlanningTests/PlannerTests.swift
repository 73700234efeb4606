import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackPlanning
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct PlannerTests {
  let folder = TemporaryFolder()

  /// A model of a few layers, whose values are a base's plus `scale` times noise.
  private func layers(
    _ count: Int = 3, scale: Double = 0, seed: UInt64 = 1, rows: Int = 24, columns: Int = 40
  ) throws -> [SampleTensor] {
    try (0..<count).flatMap { layer in
      try [("weight", [rows, columns]), ("bias", [rows])].map { name, shape in
        let size = shape.reduce(1, *)
        let base = noise(size, seed: UInt64(layer) &* 2 &+ UInt64(shape.count))
        let change = noise(size, scale: scale, seed: seed &* 1000 &+ UInt64(layer))
        return try tensor("layers.\(layer).\(name)", .f32, shape, zip(base, change).map { $0 + $1 })
      }
    }
  }

  private func write(_ name: String, _ tensors: [SampleTensor]) throws -> Checkpoint {
    try writeModel(tensors, to: folder("\(name).safetensors"))
  }

  private func expert(_ name: String, _ tensors: [SampleTensor]) throws -> ExpertInput {
    try ExpertInput(name: name, checkpoint: write(name, tensors))
  }

  private func packer(
    _ standard: TensorTreatment, rate: RateControl? = nil, exact: Bool = false, threads: Int = 2,
    shared: any MergingMethod = TaskArithmetic()
  ) throws -> Packer {
    Packer(
      sharedModel: .merged(shared), rules: TensorRules(standard, excluding: [try Glob("*head*")]), rate: rate,
      storesCorrections: exact, pipeline: OrderedPipeline(threads: threads))
  }

  // MARK: Findings

  @Test func findings() throws {
    let base = try write(
      "base",
      try layers() + [
        tensor("head", .f32, [2, 8], noise(16, seed: 9)), tensor("gone", .f32, [4], noise(4, seed: 8)),
        tensor("half", .f32, [4], noise(4, seed: 7)), tensor("ids", .i64, [2], bytes: lanes([1, 2] as [Int64])),
        tensor("large", .f32, [300, 200], noise(60_000, seed: 6)),
      ])
    var own = try layers(scale: 0.1, seed: 2)
    own[1] = try layers()[1]
    let one = try expert(
      "one",
      own + [
        tensor("head", .f32, [3, 8], noise(24, seed: 5)), tensor("half", .bf16, [4], noise(4, seed: 7)),
        tensor("ids", .i64, [2], bytes: lanes([1, 3] as [Int64])), tensor("new", .f32, [2], [1, 2]),
        tensor("large", .f32, [300, 200], noise(60_000, seed: 6)),
      ])
    let plan = try Planner(packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .bf16)), shared: BaseModel()))
      .plan(base: base, experts: [one])
    let found = plan.experts[0].findings
    #expect(found.unchanged.certain == ["layers.0.bias", "large"])
    #expect(found.unchanged.likely.isEmpty)
    #expect(found.absentFromExpert == ["gone"])
    #expect(found.absentFromShared == ["new"])
    #expect(found.resized.map(\.name) == ["head"])
    #expect(found.resized.map(\.shape.dimensions) == [[3, 8]])
    #expect(found.resized.map(\.sharedShape.dimensions) == [[2, 8]])
    #expect(found.otherDType == ["half"])
    #expect(found.notFloat == ["ids"])
    #expect(found.dtypes.map(\.dtype) == [.f32, .i64, .bf16])
    #expect(found.dtypes.map(\.tensors) == [9, 1, 1])
    #expect(found.nonFinite.isEmpty)
    #expect(plan.verdict == .possible)
  }

  @Test func whatWasOnlyComparedInPiecesIsNotCertain() throws {
    // Too large to be compared whole or to be sampled all.
    func model(_ change: Double) throws -> [SampleTensor] {
      try (0..<6).map { layer in
        var values = noise(300 * 400, seed: UInt64(layer))
        values[100] += layer == 2 ? 0 : change
        return try tensor("w.\(layer)", .f32, [300, 400], values)
      }
    }
    let base = try write("base", model(0))
    // The change is within the first piece.
    let changed = try expert("changed", model(1).map { $0 })
    let same = try expert("same", model(0))
    let planner = try Planner(packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .bf16)), shared: BaseModel()))
    let plan = try planner.plan(base: base, experts: [changed, same])
    #expect(plan.experts[0].sampledTensors < 6)
    #expect(plan.experts[1].findings.unchanged.certain.count == plan.experts[1].sampledTensors)
    #expect(plan.experts[1].findings.unchanged.likely.count == 6 - plan.experts[1].sampledTensors)
    #expect(plan.experts[0].findings.unchanged.certain + plan.experts[0].findings.unchanged.likely == ["w.2"])
  }

  @Test func nonFiniteValuesOfTheSample() throws {
    let base = try write("base", layers())
    var own = try layers(scale: 0.1, seed: 2)
    own[0] = try tensor("layers.0.weight", .f32, [24, 40], noise(959, seed: 3) + [.infinity])
    let inputs = [try expert("one", own)]
    let plan = try Planner(packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .bf16)), shared: BaseModel()))
      .plan(base: base, experts: inputs)
    #expect(plan.experts[0].findings.nonFinite.map(\.tensor) == ["layers.0.weight"])
    guard case .refused = plan.verdict else { return #expect(Bool(false), "\(plan.verdict)") }
    // It can be packed without loss.
    let exact = try Planner(packer(.exact, shared: BaseModel())).plan(base: base, experts: inputs)
    #expect(exact.verdict == .possible)
    #expect(exact.experts[0].findings.nonFinite.isEmpty)
  }

  @Test func refusals() throws {
    let base = try write("base", layers())
    let own = try expert("one", layers(scale: 0.1, seed: 2))
    let packer = try packer(.exact)
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(packer).plan(base: base, experts: []) }
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(packer).plan(base: base, experts: [own, own]) }
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(packer).plan(base: nil, experts: [own]) }
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(packer, sampleShare: 0) }
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(packer, sampleShare: .nan) }
    let other = try expert("other", [tensor("layers.0.weight", .f32, [2], [1, 2])])
    #expect(throws: StorageError(.shapeMismatch, "")) { try Planner(packer).plan(base: base, experts: [other]) }
    let detached = Packer(rules: TensorRules(.exact), isDetached: true)
    #expect(throws: StorageError(.invalidArgument, "")) { try Planner(detached).plan(base: base, experts: [own]) }
    let written = try Planner(detached, writesSharedModel: true).plan(base: base, experts: [own])
    #expect(written.cost.sharedModelBytes == base.source.tensors.reduce(0) { $0 + UInt64($1.byteCount) })
  }

  // MARK: Predictions

  /// What a decomposition of all triplets takes: s² doubles and a workspace of twice as many, or then both sides in float64
  /// and float32, but never both; and none of it where the rank is low.
  @Test func memoryOfALargeMatrix() throws {
    let side = 1024
    let shape = (1...2).map { try! tensor("w", .f32, [side, side], noise(side * side, seed: UInt64($0))) }
    let (base, own) = (try write("base", [shape[0]]), try expert("one", [shape[1]]))
    func memory(_ treatment: TensorTreatment, _ rate: RateControl? = nil, threads: Int = 1) throws -> Double {
      let packer = try packer(treatment, rate: rate, threads: threads, shared: BaseModel())
      return Double(try Planner(packer).plan(base: base, experts: [own]).cost.peakMemory)
    }
    let squareOfDoubles = Double(8 * side * side)
    let lowRank = try memory(.factor(FactorPlan(.lowRank(rank: 16), dtype: .int8)))
    let allTriplets = try memory(.controlled, RateControl(.error(0.3)))
    #expect(allTriplets - lowRank > 1.5 * squareOfDoubles && allTriplets - lowRank < 4 * squareOfDoubles)
    // One matrix is one job, whatever the threads.
    let twoThreads = try memory(.controlled, RateControl(.error(0.3)), threads: 2)
    #expect(twoThreads - allTriplets < squareOfDoubles * 2)
  }

  /// A stack is decomposed a matrix at a time.
  @Test func memoryOfAStack() throws {
    let shape = [8, 64, 96]
    let tensors = try (1...2).map { try tensor("w", .bf16, shape, noise(8 * 64 * 96, seed: $0)) }
    let (base, own) = (try write("base", [tensors[0]]), try expert("one", [tensors[1]]))
    func cost(
      _ stacking: Stacking, _ treatment: TensorTreatment, _ rate: RateControl? = nil
    ) throws -> PackPlan.Cost {
      let packer = Packer(
        sharedModel: .merged(BaseModel()), rules: TensorRules(treatment, stacking: [(try Glob("*"), stacking)]),
        rate: rate, pipeline: OrderedPipeline(threads: 1))
      return try Planner(packer).plan(base: base, experts: [own]).cost
    }
    let lowRank = TensorTreatment.factor(try FactorPlan(.lowRank(rank: 4), dtype: .bf16))
    let (stack, matrix) = (try cost(.stack, lowRank), try cost(.matrix, lowRank))
    // Its values in binary32.
    let values = Double(4 * shape.reduce(1, *))
    #expect(Double(matrix.peakMemory) - Double(stack.peakMemory) > 0.8 * values)
    // By its shape it is a stack.
    #expect(try cost(.automatic, lowRank).peakMemory == stack.peakMemory)
    // All vectors of all matrices, while a rate is searched.
    let rate = try RateControl(.error(0.3))
    #expect(try cost(.stack, .controlled, rate).scratchBytes == UInt64(8 * 4 * 64 * (64 + 96)))
    #expect(try cost(.matrix, .controlled, rate).scratchBytes == UInt64(4 * 8 * (8 + 64 * 96)))
  }

  static let settings: [(TensorTreatment, RateControl?, Bool)] = [
    (.exact, nil, false), (.factor(try! FactorPlan(.lowRank(rank: 3), dtype: .int8)), nil, false),
    (.factor(try! FactorPlan(.sparse(density: 0.2), dtype: .f16)), nil, true),
    (.controlled, try! RateControl(.quality(8)), false),
    (.controlled, try! RateControl(.quality(16)), true),
  ]

  /// Where every tensor is in the sample, the prediction is what is packed.
  @Test(arguments: settings.indices) func allTensorsSampled(_ index: Int) throws {
    let (standard, rate, exact) = Self.settings[index]
    let base = try write("base", layers(rows: 120, columns: 200))
    let experts = try [2, 3].map {
      try expert("e\($0)", layers(scale: 0.1, seed: UInt64($0), rows: 120, columns: 200))
    }
    let packer = try packer(standard, rate: rate, exact: exact)
    let plan = try Planner(packer, sampleShare: 1).plan(base: base, experts: experts)
    let summary = try packer.pack(base: base, experts: experts, to: folder("a.tmpack"))
    for (expert, actual) in zip(plan.experts, summary.experts) {
      #expect(expert.sampledTensors == expert.tensors)
      let outcome = try #require(expert.outcome)
      #expect(outcome.bytes.deviation == 0)
      #expect(abs(outcome.bytes.value / Double(actual.summary.bytes) - 1) < 0.01)
      #expect((outcome.error == nil) == (actual.summary.error == nil))
      if let error = outcome.error, let recorded = actual.summary.error {
        #expect(abs(error.value / recorded.value - 1) < 1e-6 && error.deviation == 0)
      }
    }
    let archive = try #require(plan.archiveBytes)
    #expect(abs(archive.value / Double(summary.archiveBytes) - 1) < 0.01)
  }

  /// A tensor and another whose name is the same to Unicode, but not a tie of the first as that one is.
  @Test func tiesAreOfNamesToTheByte() throws {
    struct Tied: TensorSource {
      let source: MemoryTensorSource
      let ties = ["e\u{301}": "a"]
      var tensors: [TensorInfo] { source.tensors }
      var label: String { source.label }
      func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
        try source.read(info, into: destination)
      }
    }
    let tensors = try zip(["a", "e\u{301}", "\u{E9}"], [1, 1, 2] as [UInt64]).map { name, seed in
      try tensor(name, .f32, [100, 100], noise(10_000, seed: seed))
    }
    try CheckpointDestination(folder("base.pt")).write(Tied(source: MemoryTensorSource(tensors)))
    let base = try Checkpoint.open(folder("base.pt"))
    try #require(base.source.ties.count == 1)
    let experts = try [expert("x", tensors)]
    let packer = try packer(.factor(FactorPlan(.lowRank(rank: 2), dtype: .bf16)), shared: BaseModel())
    let plan = try Planner(packer, sampleShare: 1).plan(base: base, experts: experts)
    // Two matrices of noise, and not one or three.
    #expect((60_000..<85_000).contains(plan.sharedBytes.value), "\(plan.sharedBytes)")
  }

  /// Each setting of the frontier is what packing with it gives.
  @Test func frontier() throws {
    let base = try write("base", layers(rows: 120, columns: 200))
    let experts = try [expert("e", layers(scale: 0.1, seed: 2, rows: 120, columns: 200))]
    let plan = try Planner(packer(.controlled, rate: RateControl(.quality(3))), sampleShare: 1)
      .plan(base: base, experts: experts)
    let points = plan.experts[0].frontier
    #expect(points.map(\.setting) == [8, 16, 24, 32, 50, 64].map { .components($0) } + [.lossless])
    for (coarse, fine) in zip(points, points.dropFirst()) {
      #expect(coarse.bytes.value < fine.bytes.value)
      #expect(coarse.error!.value > fine.error?.value ?? 0)
    }
    for point in points {
      let packer =
        if case .components(let count) = point.setting {
          try packer(.controlled, rate: RateControl(.quality(Double(count))))
        } else { try packer(.exact) }
      let summary = try packer.pack(base: base, experts: experts, to: folder("a.tmpack"), replacing: true)
      let actual = summary.experts[0].summary
      #expect(abs(point.bytes.value / Double(actual.bytes) - 1) < 0.01, "\(point.setting)")
      #expect(abs((point.error?.value ?? 0) - (actual.error?.value ?? 0)) < 1e-3, "\(point.setting)")
    }
  }

  @Test func theSameWithAnyNumberOfThreads() throws {
    let base = try write("base", layers(8, rows: 200, columns: 300))
    let experts = try [expert("e", layers(8, scale: 0.1, seed: 2, rows: 200, columns: 300))]
    let rates = try [nil, RateControl(.bytesPerExpert(30_000)), RateControl(.error(0.5), objective: .leastError)]
    for rate in rates {
      let plans = try [1, 3].map { threads in
        try Planner(packer(rate == nil ? .exact : .controlled, rate: rate, threads: threads))
          .plan(base: base, experts: experts, output: folder("a.tmpack"))
      }
      #expect(plans[0].experts[0].sampledTensors < 16)
      #expect(plans[0].experts[0].frontier == plans[1].experts[0].frontier)
      #expect(plans[0].experts[0].outcome == plans[1].experts[0].outcome)
      #expect(plans[0].experts[0].outcome != nil)
      #expect(plans[0].archiveBytes == plans[1].archiveBytes)
      #expect(plans[0].verdict == .possible)
    }
    #expect(folder.names == ["base.safetensors", "e.safetensors"])
  }

  @Test func targets() throws {
    let base = try write("base", layers(8, rows: 200, columns: 300))
    let experts = try [expert("e", layers(8, scale: 0.1, seed: 2, rows: 200, columns: 300))]
    func plan(_ target: RateControl.Target, _ objective: RateControl.Objective) throws -> PackPlan {
      try Planner(packer(.controlled, rate: RateControl(target, objective: objective)))
        .plan(base: base, experts: experts, output: folder("a.tmpack"))
    }
    for (target, objective) in [
      (RateControl.Target.bytesPerExpert(30_000), RateControl.Objective.balanced),
      (.error(0.5), .leastError),
    ] {
      let plan = try plan(target, objective)
      #expect(plan.verdict == .possible)
      let packed = try packer(.controlled, rate: RateControl(target, objective: objective))
        .pack(base: base, experts: experts, to: folder("a.tmpack"), replacing: true)
      #expect(abs(try #require(plan.archiveBytes).value / Double(packed.archiveBytes) - 1) < 0.02, "\(target)")
      let outcome = try #require(plan.experts[0].outcome)
      let actual = packed.experts[0].summary
      #expect(abs(outcome.bytes.value / Double(actual.bytes) - 1) < 0.1, "\(target)")
      #expect(abs(try #require(outcome.error).value / actual.error!.value - 1) < 0.1, "\(target)")
    }
    for target in [RateControl.Target.bytesPerExpert(100), .archiveBytes(10_000), .error(1e-6)] {
      let plan = try plan(target, .balanced)
      guard case .unlikely = plan.verdict else { return #expect(Bool(false), "\(target): \(plan.verdict)") }
      #expect(plan.experts[0].outcome == nil && plan.archiveBytes == nil)
    }
  }

  /// What is equal is stored once, in one expert and across experts.
  @Test func repeatedTensors() throws {
    let base = try write("base", layers(2, rows: 300, columns: 400))
    let experts = try [
      expert("changed", layers(2, scale: 0.1, seed: 2, rows: 300, columns: 400)),
      expert("one", layers(2, rows: 300, columns: 400)), expert("two", layers(2, rows: 300, columns: 400)),
    ]
    let packer = try packer(.exact)
    let plan = try Planner(packer).plan(base: base, experts: experts)
    let summary = try packer.pack(base: base, experts: experts, to: folder("a.tmpack"))
    for (expert, actual) in zip(plan.experts, summary.experts) {
      #expect(abs(try #require(expert.outcome).bytes.value / Double(actual.summary.bytes) - 1) < 0.02, "\(expert.name)")
    }
    #expect(summary.experts[2].summary.bytes * 10 < summary.experts[1].summary.bytes)
  }

  /// Of factors that an earlier expert has, too, only payloads with frames of their own are stored once.
  @Test(arguments: [
    try! FactorPlan(.sparse(density: 0.2), dtype: .int8), try! FactorPlan(.lowRank(rank: 32), dtype: .f16),
    try! FactorPlan(.dense, dtype: .int8),
  ]) func repeatedFactors(_ factor: FactorPlan) throws {
    let base = try write("base", layers(12, rows: 300, columns: 400))
    let experts = try [
      expert("changed", layers(12, scale: 0.1, seed: 2, rows: 300, columns: 400)),
      expert("one", layers(12, rows: 300, columns: 400)), expert("two", layers(12, rows: 300, columns: 400)),
    ]
    let packer = try packer(.factor(factor))
    let plan = try Planner(packer).plan(base: base, experts: experts)
    let summary = try packer.pack(base: base, experts: experts, to: folder("a.tmpack"))
    for (expert, actual) in zip(plan.experts, summary.experts) {
      #expect(expert.sampledTensors < expert.tensors)
      let bytes = try #require(expert.outcome).bytes
      let slack = 500 + 0.02 * bytes.value
      #expect(abs(bytes.value - Double(actual.summary.bytes)) < bytes.deviation + slack, "\(expert.name)")
    }
  }

  /// A budget of the archive is not spent twice on what two experts have in common.
  @Test func aBudgetCountsRepeatedFactorsOnce() throws {
    let base = try write("base", layers(2, rows: 400, columns: 600))
    let experts = try [
      expert("changed", layers(2, scale: 0.1, seed: 2, rows: 400, columns: 600)),
      expert("one", layers(2, rows: 400, columns: 600)), expert("two", layers(2, rows: 400, columns: 600)),
    ]
    let budget: UInt64 = 2_600_000
    let packer = try packer(.controlled, rate: RateControl(.archiveBytes(budget)))
    let summary = try packer.pack(base: base, experts: experts, to: folder("a.tmpack"))
    #expect(summary.experts[2].summary.bytes * 10 < summary.experts[1].summary.bytes)
    #expect(summary.archiveBytes <= budget && summary.archiveBytes * 100 >= budget * 97, "\(summary.archiveBytes)")
    let plan = try Planner(packer).plan(base: base, experts: experts, output: folder("a.tmpack"))
    for (expert, actual) in zip(plan.experts, summary.experts) {
      #expect(abs(try #require(expert.outcome).bytes.value - Double(actual.summary.bytes)) < 20_000, "\(expert.name)")
    }
  }

  @Test func ties() throws {
    let tied = try write("tied", layers())
    let source = TiedSource(source: tied.source, ties: ["layers.1.weight": "layers.0.weight"])
    #expect(source.dtypeCounts.map(\.tensors) == [6])
    let survey = try ExpertSurvey(of: source, against: tied.source)
    #expect(survey.findings.ties == source.ties)
  }

  // MARK: Estimates

  @Test func stratifiedTotals() {
    var sample = StratifiedSample(populations: [2, 4])
    for size in [1.0, 3] { sample.add(.init(size: size), to: 0) }
    for size in [10.0, 14] { sample.add(.init(size: size, energy: 2, lost: size / 28), to: 1) }
    let total = sample.total(\.size)
    #expect(total.value == 4 + 48)
    // 4² · (1 − 2/4) · 8 ÷ 2, and Student's quantile for one degree of freedom.
    #expect(abs(total.deviation / 32.0.squareRoot() - 6.31) < 0.02)
    #expect(abs(sample.relativeError!.value - (12.0 / 28 / 2).squareRoot()) < 1e-12)
    #expect(sample.relativeError!.deviation > 0)
    #expect(StratifiedSample(populations: [1]).relativeError == nil)
  }

  @Test func everyClassIsSampled() throws {
    let infos = try (0..<40).flatMap { layer in
      try [info("h.\(layer).w", .f32, [512, 512]), info("h.\(layer).b", .f32, [512])]
    }
    let all = (infos + [try info("head", .f32, [1000, 512])]).sortedByName()
    let sample = TensorSample(of: all.map { ($0, TensorClass($0)) }, share: 0.05)
    let names = sample.members.map(\.info.name)
    #expect(sample.populations.sorted() == [1, 40, 40])
    #expect(names.filter { $0.hasSuffix(".w") }.count == 2)
    #expect(names.filter { $0.hasSuffix(".b") }.count == 40)
    #expect(names.contains("head"))
    // One of the first half of the layers, one of the second.
    let layers = names.filter { $0.hasSuffix(".w") }.map { Int($0.split(separator: ".")[1])! }
    #expect(layers.contains { $0 < 20 } && layers.contains { $0 >= 20 })
    #expect(TensorSample(of: all.map { ($0, TensorClass($0)) }, share: 1).members.count == 81)
  }
}

/// Another source's tensors, some of which are one.
private struct TiedSource: TensorSource {
  let source: any TensorSource
  let ties: [String: String]
  var tensors: [TensorInfo] { source.tensors }
  var label: String { source.label }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: info)
  }
}
