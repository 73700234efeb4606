import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import TestSupport

/// A random base, experts near it, and random rules to pack them by.
package struct RandomModels {
  package let base: Checkpoint
  package let experts: [ExpertInput]
  package let added: [ExpertInput]
  package let packer: Packer
  package let archivePath: String
  package let isLossless: Bool

  package init(using random: inout SeededGenerator, in folder: TemporaryFolder, name: String) throws {
    let infos = try Self.infos(using: &random)
    func model(_ label: String, _ tensors: [SampleTensor]) throws -> Checkpoint {
      try writeModel(tensors, metadata: ["model": label], to: folder("\(name)-\(label).safetensors"))
    }
    let original = try infos.map { try Self.tensor($0, using: &random) }
    base = try model("base", original)
    func expert(_ label: String) throws -> ExpertInput {
      try ExpertInput(name: label, checkpoint: model(label, Self.changed(original, using: &random)))
    }
    experts = try ["one", "two"].map(expert)
    added = Bool.random(using: &random) ? [try expert("three")] : []
    isLossless = Int.random(in: 0..<3, using: &random) == 0
    let treatment = isLossless ? TensorTreatment.exact : .factor(try Self.plan(using: &random))
    let methods: [any MergingMethod] = [BaseModel(), AverageModel(), TaskArithmetic(scale: 0.5)]
    packer = Packer(
      sharedModel: .merged(methods.randomElement(using: &random)!),
      rules: TensorRules(treatment, excluding: Bool.random(using: &random) ? [try Glob("exact*")] : []),
      level: Int.random(in: 1...5, using: &random), pipeline: OrderedPipeline(threads: 2))
    archivePath = folder("\(name).tmpack")
  }

  @discardableResult
  package func pack() throws -> Archive {
    _ = try packer.pack(base: base, experts: experts, to: archivePath)
    if !added.isEmpty { _ = try packer.add(added, to: Archive(archivePath)) }
    return try Archive(archivePath)
  }

  package var allExperts: [ExpertInput] { experts + added }

  package func weights(using random: inout SeededGenerator) -> String {
    allExperts.filter { _ in Int.random(in: 0..<4, using: &random) > 0 }
      .map { "\($0.name)=\(["0.5", "1", "-1.25", "0", "0.3333", "1e-3"].randomElement(using: &random)!)" }
      .joined(separator: ",")
  }

  package static func plan(using random: inout SeededGenerator) throws -> FactorPlan {
    let methods: [FactorPlan.Method] = [
      .lowRank(rank: 1), .lowRank(rank: 3), .lowRankRatio(0.25), .sparse(density: 0.1), .sparse(density: 1), .dense,
    ]
    return try FactorPlan(
      methods.randomElement(using: &random)!, dtype: FactorDType.allCases.randomElement(using: &random)!)
  }

  /// Floats of all widths and shapes, a few integers, nothing that every expert could lack.
  private static func infos(using random: inout SeededGenerator) throws -> [TensorInfo] {
    var infos = [try info("anchor", .f32, [2])]
    for index in 0..<Int.random(in: 1...6, using: &random) {
      let rank = Int.random(in: 0...4, using: &random)
      let shape = (0..<rank).map { _ in Int.random(in: rank > 2 ? 0...4 : 1...12, using: &random) }
      let dtypes: [DType] = [.f64, .f32, .f32, .f16, .bf16, .bf16, .i64, .u8, .f8e5m2, .bool]
      let name = ["t", "exact.", "é", "e\u{301}"].randomElement(using: &random)! + "\(index)"
      infos.append(try info(name, dtypes.randomElement(using: &random)!, shape))
    }
    return infos
  }

  private static func tensor(_ info: TensorInfo, using random: inout SeededGenerator) throws -> SampleTensor {
    guard info.dtype.floatFormat != nil else { return (info, TensorBytes(random.bytes(info.byteCount))) }
    let values = (0..<info.shape.elementCount).map { _ in Double(random.noise()) }
    return try TestSupport.tensor(info.name, info.dtype, info.shape.dimensions, values)
  }

  /// Mostly the base with noise; some tensors the same, of another kind, missing or new.
  private static func changed(_ base: [SampleTensor], using random: inout SeededGenerator) throws -> [SampleTensor] {
    var tensors: [SampleTensor] = [base[0]]
    for (info, bytes) in base.dropFirst() {
      switch Int.random(in: 0..<10, using: &random) {
      case 0: tensors.append((info, bytes))
      case 1: continue
      case 2: tensors.append(try tensor(try TestSupport.info(info.name, .bf16, [3]), using: &random))
      default:
        guard let format = info.dtype.floatFormat else {
          tensors.append(try tensor(info, using: &random))
          continue
        }
        var values = [Double](repeating: 0, count: info.shape.elementCount)
        try bytes.withBytes { raw in values.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
        for index in values.indices { values[index] += Double(random.noise()) * 0.05 }
        tensors.append(try TestSupport.tensor(info.name, info.dtype, info.shape.dimensions, values))
      }
    }
    if Bool.random(using: &random) { tensors.append(try tensor(try info("new", .f16, [2, 2]), using: &random)) }
    return tensors
  }
}
