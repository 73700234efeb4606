import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Packing with second moments of an expert's inputs and gradients: `Spec/merging-statistics.md`.
@Suite struct WeightedPackingTests {
  private let folder = TemporaryFolder()

  private static let (rows, columns) = (256, 192)
  private static let rank = 24

  /// Of a mean square of 1 along every fourth axis, and of less along the others.
  private static func moments(_ side: Int, others: Double = 0.05) -> [Double] {
    var moments = [Double](repeating: 0, count: side * side)
    for i in 0..<side { moments[i * side + i] = i % 4 == 0 ? 1 : others }
    return moments
  }

  /// A difference without a direction of its own.
  private func models() throws -> (base: Checkpoint, expert: Checkpoint, difference: [Double]) {
    let count = Self.rows * Self.columns
    let (start, difference) = (noise(count, seed: 1), noise(count, scale: 0.1, seed: 2))
    let shape = [Self.rows, Self.columns]
    return (
      try writeModel([tensor("w.weight", .f32, shape, start)], to: folder("base.safetensors")),
      try writeModel(
        [tensor("w.weight", .f32, shape, zip(start, difference).map { $0 + $1 })], to: folder("a.safetensors")),
      difference
    )
  }

  private func statistics(_ tensors: [SampleTensor]) throws -> any TensorSource {
    try writeModel(tensors, to: folder("statistics.safetensors")).source
  }

  private func grams(_ dtype: DType = .f32, others: Double = 0.05) throws -> [SampleTensor] {
    try [
      tensor("w.weight.gram", dtype, [Self.columns, Self.columns], Self.moments(Self.columns, others: others)),
      tensor("w.weight.gram0", dtype, [Self.rows, Self.rows], Self.moments(Self.rows, others: others)),
    ]
  }

  private func pack(
    _ statistics: (any TensorSource)?, _ target: RateControl.Target = .quality(Double(Self.rank)),
    objective: RateControl.Objective = .balanced, to name: String = "zoo"
  ) throws -> (archive: Archive, notes: [PackSummary.Note]) {
    let (base, expert, _) = try models()
    let summary = try Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled),
      rate: RateControl(target, objective: objective)
    ).pack(
      base: base, experts: [ExpertInput(name: "a", checkpoint: expert, statistics: statistics)],
      to: folder("\(name).tmpack"), replacing: true)
    return (try Archive(folder("\(name).tmpack")), summary.notes)
  }

  /// Σ (what is lost of the difference)² · moments of row and column.
  private func weightedError(_ archive: Archive, others: Double = 0.05) throws -> Double {
    let mix = try Reconstructor(archive).mix(RouterWeights(parsing: "a=1"))
    let info = try #require(mix.tensor(named: "w.weight"))
    let (base, _, difference) = try models()
    func floats(_ source: any TensorSource) throws -> [Float] {
      try source.bytes(of: info).withElements(of: Float.self) { Array($0) }
    }
    let (rebuilt, start) = (try floats(mix), try floats(base.source))
    let (rows, columns) = (
      Self.moments(Self.rows, others: others), Self.moments(Self.columns, others: others)
    )
    var error = 0.0
    for i in 0..<Self.rows {
      for j in 0..<Self.columns {
        let place = i * Self.columns + j
        let lost = difference[place] - Double(rebuilt[place] - start[place])
        error += lost * lost * rows[i * Self.rows + i] * columns[j * Self.columns + j]
      }
    }
    return error
  }

  // What the data do not touch may be lost: the error where they are is a fraction of that without statistics.
  @Test(arguments: [DType.f32, .f64, .bf16]) func theErrorIsLeastWhereTheDataAre(_ dtype: DType) throws {
    let plain = try pack(nil, to: "plain")
    let weighted = try pack(statistics(grams(dtype)))
    #expect(try weightedError(weighted.archive) < 0.85 * weightedError(plain.archive))
    // The plain error is recorded all the same, and is larger.
    func error(_ archive: Archive) throws -> Double { try #require(archive.experts[0].summary.error).value }
    #expect(try error(weighted.archive) > error(plain.archive))
    #expect(weighted.notes.isEmpty && plain.notes.isEmpty)
    #expect(weighted.archive.experts[0].summary.bytes < plain.archive.experts[0].summary.bytes * 5 / 4)
  }

  // Of an embedding, how often each row was taken; of one side alone.
  @Test func countsWeighRows() throws {
    let counts = (0..<Self.rows).map { $0 % 4 == 0 ? 1.0 : 0.05 }
    let one = try pack(statistics([tensor("w.weight.counts", .f32, [Self.rows], counts)]))
    let plain = try pack(nil, to: "plain")
    #expect(try weightedError(one.archive) < 0.95 * weightedError(plain.archive))
    let full = try pack(
      statistics([tensor("w.weight.gram0", .f32, [Self.rows, Self.rows], Self.moments(Self.rows))]),
      to: "full")
    let ratio = try weightedError(one.archive) / weightedError(full.archive)
    #expect((0.9...1.1).contains(ratio))
  }

  // Where the data lie in a few directions that the difference does not have, the quantiser's noise must not drown what matters.
  @Test func weighingPaysWhereTheDataLieInFewDirections() throws {
    let plain = try pack(nil, to: "plain")
    let weighted = try pack(statistics(grams(others: 1e-6)))
    #expect(try weightedError(weighted.archive, others: 1e-6) < weightedError(plain.archive, others: 1e-6))
  }

  // Few digits leave moments of fewer inputs than directions with eigenvalues a little below 0; a far lower one is a mistake.
  @Test func semidefiniteButForRounding() throws {
    let side = Self.columns
    let inputs = noise(3 * side, seed: 4)
    var moments = [Double](repeating: 0, count: side * side)
    for i in 0..<side {
      for j in 0..<side {
        moments[i * side + j] = (0..<3).reduce(0) { $0 + inputs[$1 * side + i] * inputs[$1 * side + j] }
      }
    }
    let plain = try pack(nil, to: "plain").archive.rootDigest
    let few = try pack(statistics([tensor("w.weight.gram", .bf16, [side, side], moments)]))
    #expect(few.archive.rootDigest != plain)
    var broken = Self.moments(side, others: 1)
    for i in 0..<side { for j in 0..<side where i != j { broken[i * side + j] = -1 } }
    let error = try #require(
      failure { _ = try pack(statistics([tensor("w.weight.gram", .f32, [side, side], broken)])) })
    #expect(error.code == .malformed && error.tensor == "w.weight.gram")
  }

  // The plain error is what is asked for there, or it is not known whether weighing pays at the rate that is found.
  @Test func searchesAndLeastErrorAreUnweighted() throws {
    for (target, objective) in [
      (RateControl.Target.error(0.5), RateControl.Objective.balanced), (.bytesPerExpert(1200), .balanced),
      (.quality(20), .leastError),
    ] {
      let plain = try pack(nil, target, objective: objective, to: "plain").archive.rootDigest
      #expect(try pack(statistics(grams()), target, objective: objective).archive.rootDigest == plain)
    }
  }

  // Moments that are all 0 say nothing, and those of fewer inputs than directions are singular.
  @Test func whatSaysNothingWeighsNothing() throws {
    let zeros = [Double](repeating: 0, count: Self.columns * Self.columns)
    let plain = try pack(nil, to: "plain").archive.rootDigest
    let nothing = try pack(statistics([tensor("w.weight.gram", .f32, [Self.columns, Self.columns], zeros)]))
    #expect(nothing.archive.rootDigest == plain)
    var single = zeros
    single[0] = 1
    let one = try pack(statistics([tensor("w.weight.gram", .f32, [Self.columns, Self.columns], single)]))
    #expect(one.archive.rootDigest != plain)
    let other = try pack(statistics([tensor("v.weight.gram", .f32, [Self.columns, Self.columns], single)]))
    #expect(other.archive.rootDigest == plain)
    #expect(other.notes.map(\.reason) == [.unmeasured])
  }

  @Test func isTheSameForAnyNumberOfThreads() throws {
    #expect(
      try pack(statistics(grams())).archive.rootDigest == pack(statistics(grams()), to: "again").archive.rootDigest)
  }

  private func broken(_ name: String) throws -> (SampleTensor, StorageError.Code) {
    let (side, square) = (Self.columns, Self.columns * Self.columns)
    var sound = Self.moments(side)
    let gram = "w.weight.gram"
    switch name {
    case "shape": return (try tensor(gram, .f32, [side, side + 1], noise(square + side, seed: 3)), .shapeMismatch)
    case "vector": return (try tensor(gram, .f32, [square], sound), .shapeMismatch)
    case "counts": return (try tensor("w.weight.counts", .f32, [side], noise(side, seed: 3)), .shapeMismatch)
    case "integers":
      return (try tensor(gram, .i32, [side, side], bytes: [UInt8](repeating: 1, count: 4 * square)), .malformed)
    case "NaN":
      sound[7] = .nan
      return (try tensor(gram, .f32, [side, side], sound), .nonFinite)
    case "infinity":
      sound[0] = .infinity
      return (try tensor(gram, .f32, [side, side], sound), .nonFinite)
    case "negative":
      sound[0] = -1
      return (try tensor(gram, .f32, [side, side], sound), .malformed)
    case "product":
      (sound[1], sound[side]) = (2, 2)
      return (try tensor(gram, .f32, [side, side], sound), .malformed)
    default:
      sound[1] = 0.5
      return (try tensor(gram, .f32, [side, side], sound), .malformed)
    }
  }

  @Test(arguments: ["shape", "vector", "counts", "integers", "NaN", "infinity", "negative", "product", "asymmetric"])
  func refusesWhatNoMomentsCanBe(_ name: String) throws {
    let (own, code) = try broken(name)
    let error = try #require(failure { _ = try pack(statistics([own])) })
    #expect(error.code == code && error.tensor == own.info.name && error.expert == "a", "\(error)")
  }
}
