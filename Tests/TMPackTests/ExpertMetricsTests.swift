import ByteIO
import TMPack
import TestSupport
import Testing

/// Packing that weighs directions by what the experts changed, or by what was measured of them.
@Suite struct ExpertMetricsTests {
  private let folder = TemporaryFolder()
  private static let (rows, columns) = (48, 36)
  private static let count = rows * columns

  /// A few directions that all experts share, stronger or weaker, and noise.
  private static func change(_ seed: UInt64) -> [Double] {
    var values = noise(count, scale: 0.01, seed: seed)
    for k in 0..<6 {
      let left = noise(rows, scale: 0.02, seed: 100 + UInt64(k))
      let right = noise(columns, scale: noise(1, seed: seed + UInt64(30 + k))[0], seed: 200 + UInt64(k))
      for i in 0..<rows { for j in 0..<columns { values[i * columns + j] += left[i] * right[j] } }
    }
    return values
  }

  private func model(_ values: [Double], _ name: String) throws -> Checkpoint {
    try writeModel(
      [tensor("w", .f32, [Self.rows, Self.columns], values), tensor("b", .f32, [40], Array(values.prefix(40)))],
      to: folder("\(name).safetensors"))
  }

  private var base: Checkpoint { get throws { try model(noise(Self.count, seed: 1), "base") } }

  private func expert(_ seed: UInt64, statistics: Checkpoint? = nil) throws -> ExpertInput {
    let own = try model(zip(noise(Self.count, seed: 1), Self.change(seed)).map { $0 + $1 }, "e\(seed)")
    return try ExpertInput(name: "e\(seed)", checkpoint: own, statistics: statistics?.source)
  }

  private func packer(_ target: RateControl.Target, threads: Int = 2) throws -> Packer {
    Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: try RateControl(target),
      pipeline: OrderedPipeline(threads: threads))
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Double] {
    try source.bytes(of: source.tensor(named: name)!).withElements(of: Float.self) { $0.map(Double.init) }
  }

  private func covariance(_ name: String, side: Int, _ element: (Int, Int) -> Double) throws -> SampleTensor {
    try tensor(name, .f32, [side, side], (0..<side * side).map { element($0 / side, $0 % side) })
  }

  private func statistics(_ tensors: [SampleTensor], _ name: String = "s") throws -> Checkpoint {
    try writeModel(tensors, to: folder("\(name).safetensors"))
  }

  @Test(arguments: [RateControl.Target.quality(4), .bytesPerExpert(1500)])
  func theBytesDoNotDependOnThreads(_ target: RateControl.Target) throws {
    var archives: [[UInt8]] = []
    for threads in [1, 3] {
      let path = folder("t\(threads).tmpack")
      _ = try packer(target, threads: threads).pack(base: base, experts: [expert(2), expert(3), expert(4)], to: path)
      archives.append(try contents(path))
    }
    #expect(archives[0] == archives[1])
  }

  @Test func recordedErrorsAreThoseOfWhatIsRebuilt() throws {
    let inputs = try [expert(2), expert(3)]
    _ = try packer(.quality(4)).pack(base: base, experts: inputs, to: folder("x.tmpack"))
    let verification = Verification(try Archive(folder("x.tmpack")))
    for input in inputs {
      #expect(try verification.proveSource(ofExpert: input.name, input.checkpoint.source).isEmpty)
    }
  }

  /// Σ (dᵀ · columnsⱼ)² over some columns of what was lost.
  private func lost(_ expert: ExpertInput, _ archive: String, columns: Range<Int>) throws -> Double {
    let mix = try Reconstructor(Archive(archive)).mix(weights("\(expert.name)=1"))
    let (own, found) = (try floats(expert.checkpoint.source, "w"), try floats(mix, "w"))
    return own.indices.reduce(0) { sum, i in
      columns.contains(i % Self.columns) ? sum + (own[i] - found[i]) * (own[i] - found[i]) : sum
    }
  }

  /// Inputs that are a hundred times as strong in the first columns make these exacter, and the others less so.
  @Test func whatWasMeasuredMattersMore() throws {
    let measured = try statistics([covariance("w.gram", side: Self.columns) { $0 == $1 ? ($0 < 6 ? 100 : 1) : 0 }])
    let (plain, weighed) = (try expert(2), try expert(2, statistics: measured))
    _ = try packer(.quality(4)).pack(base: base, experts: [plain], to: folder("p.tmpack"))
    _ = try packer(.quality(4)).pack(base: base, experts: [weighed], to: folder("w.tmpack"))
    for (columns, isBetter) in [(0..<6, true), (6..<Self.columns, false)] {
      let one = try lost(plain, folder("p.tmpack"), columns: columns)
      let other = try lost(plain, folder("w.tmpack"), columns: columns)
      #expect((other < one) == isBetter, "\(other) after \(one)")
    }
  }

  @Test func anErrorTargetIsOfThePlainError() throws {
    for input in [try expert(2), try expert(3)] {
      _ = try packer(.error(0.5)).pack(
        base: base, experts: [input], to: folder("\(input.name).tmpack"), replacing: true)
    }
    _ = try packer(.error(0.5)).pack(base: base, experts: [expert(2), expert(3)], to: folder("both.tmpack"))
    let both = try Archive(folder("both.tmpack"))
    for name in ["e2", "e3"] {
      let alone = try Archive(folder("\(name).tmpack"))
      #expect(
        alone.experts[0].summary.error == both.experts.first { $0.name == name }?.summary.error, "nothing is weighed")
    }
  }

  @Test func statisticsThatCannotBeOfTheTensorAreRefused() throws {
    let side = Self.columns
    let cases: [(SampleTensor, StorageError.Code)] = [
      (try covariance("w.gram", side: side - 1) { $0 == $1 ? 1 : 0 }, .shapeMismatch),
      (try covariance("w.gram", side: side) { $0 == $1 ? ($0 == 3 ? -1 : 1) : 0 }, .malformed),
      (try covariance("w.gram", side: side) { $0 == $1 ? 1 : $0 == 1 && $1 == 0 ? 0.5 : 0 }, .malformed),
      (try covariance("w.gram", side: side) { $0 == $1 ? 1 : 5 }, .malformed),
      (try covariance("w.gram", side: side) { _, _ in 0 }, .malformed),
      (try covariance("w.gram", side: side) { $0 == $1 ? ($0 == 2 ? .nan : 1) : 0 }, .nonFinite),
      (try covariance("w.grad.gram", side: side) { $0 == $1 ? 1 : 0 }, .shapeMismatch),
      (try covariance("v.gram", side: side) { $0 == $1 ? 1 : 0 }, .unknownName),
      (try tensor("w.gram", .i32, [side, side], [Double](repeating: 1, count: side * side)), .malformed),
    ]
    for (number, (sample, code)) in cases.enumerated() {
      let measured = try statistics([sample], "bad\(number)")
      let input = try expert(2, statistics: measured)
      let error = #expect(throws: StorageError.self) {
        try packer(.quality(4)).pack(base: base, experts: [input], to: folder("x.tmpack"))
      }
      #expect(error?.code == code, "case \(number): \(error.map(String.init(describing:)) ?? "none")")
      #expect(error?.file?.hasSuffix("bad\(number).safetensors") == true && error?.expert == "e2")
      #expect(!folder.names.contains("x.tmpack"))
    }
  }

  /// What is weighed by what was measured, and what for lack of that by what the experts changed, is said.
  @Test func whatWasNotMeasuredIsSaid() throws {
    let only = try statistics([covariance("b.gram", side: 40) { $0 == $1 ? 1 : 0 }])
    let summary = try packer(.quality(4)).pack(
      base: base, experts: [expert(2, statistics: only), expert(3)], to: folder("x.tmpack"))
    #expect(summary.notes.map(\.reason) == [.unmeasured])
    #expect(summary.notes.map(\.example) == ["w"])
  }
}
