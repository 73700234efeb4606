import TMPackByteIO
import TMPackMerging
import TMPackParallel
import TMPackTensorKit
import TestSupport
import Testing

/// What holds for every element-wise method, whatever it is given.
@Suite struct ElementWiseMergingTests {
  private static let cases = MergingCase.elementWise
  private static let infos: [(name: String, shape: [Int])] = [
    ("layers.0.matrix", [7, 9]), ("layers.0.vector", [5]), ("layers.0.scalar", []), ("layers.1.matrix", [7, 9]),
  ]

  /// A model whose tensors hold `value(expert, element)`.
  private func sources(_ experts: Int, _ value: (_ expert: Int, _ element: Int) -> Double) throws -> MergeSources {
    func model(_ expert: Int) throws -> MemoryTensorSource {
      try MemoryTensorSource(
        try Self.infos.map {
          try tensor($0.name, .f32, $0.shape, (0..<$0.shape.reduce(1, *)).map { value(expert, $0) })
        })
    }
    return MergeSources(
      base: try model(0),
      experts: try ["a", "b", "c", "d"].prefix(experts).enumerated().map {
        .init(name: $1, source: try model($0 + 1))
      })
  }

  private func elements(_ source: any TensorSource) throws -> [Float] {
    try source.tensors.flatMap { info in
      try source.bytes(of: info).withBytes { raw in
        (0..<info.shape.elementCount).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
      }
    }
  }

  @Test(
    "Task vectors of zeros, one expert, equal experts, opposite experts, one element that changes, values far apart: finite",
    arguments: cases)
  func isFiniteOnDegenerateModels(_ example: MergingCase) throws {
    let models = [
      try sources(4) { _, i in Double(i) }, try sources(1) { e, i in Double(i - e) },
      try sources(3) { e, i in Double(i * e.signum()) }, try sources(2) { e, _ in e == 0 ? 1 : e == 1 ? 2 : 0 },
      try sources(4) { e, i in e == 2 && i == 3 ? 1 : 0 },
      try sources(4) { e, i in i.isMultiple(of: 2) ? Double(e) * 1e30 : Double(e) * 1e-38 },
    ]
    for model in models {
      let merged = try SharedModelSource(model, method: try example.make())
      #expect(try elements(merged).allSatisfy(\.isFinite))
    }
    #expect(try elements(SharedModelSource(models[0], method: try example.make())) == elements(models[0].base))
  }

  @Test("What no expert changes stays as it is, infinities too", arguments: cases)
  func keepsInfinitiesOfTheBase(_ example: MergingCase) throws {
    let model = try sources(4) { e, i in i == 0 ? -.infinity : Double(e) }
    let merged = try elements(SharedModelSource(model, method: try example.make()))
    let base = try elements(model.base)
    #expect(zip(merged, base).allSatisfy { $1.isFinite ? $0.isFinite : $0 == $1 })
  }

  @Test(arguments: [Double.nan, .infinity]) func refusesTaskVectorsThatAreNotFinite(_ value: Double) throws {
    let model = try sources(3) { e, i in e == 2 && i == 4 ? value : Double(e) }
    let methods = Set(Self.cases.map(\.method)).subtracting(["task-arithmetic", "average"])
    for method in methods.sorted() {
      var caught: StorageError?
      do throws(StorageError) {
        let merged = try SharedModelSource(model, method: try MergingMethodKind.named(method).method())
        for info in merged.tensors { _ = try merged.bytes(of: info) }
      } catch { caught = error }
      #expect(
        caught?.code == .nonFinite && caught?.expert == "b" && caught?.tensor != nil, "\(method): \(caught as Any)")
    }
  }

  @Test(arguments: cases) func givesTheSameOnAnyNumberOfThreads(_ example: MergingCase) throws {
    let model = try sources(4) { e, i in Double((i * 7 + e * 13) % 11) - 5 }
    let merged = try [1, 4].map {
      try elements(SharedModelSource(model, method: try example.make(), pipeline: OrderedPipeline(threads: $0)))
    }
    #expect(merged[0] == merged[1])
  }

  @Test func anotherSeedOrExpertOrTensorDrawsOthers() throws {
    let folder = TemporaryFolder()
    let names = ["x", "y"]
    let base = try writeModel(
      try names.map { try tensor($0, .f32, [64], noise(64, scale: 0, seed: 1)) }, to: folder("0"))
    let tuned = try writeModel(
      try names.map { try tensor($0, .f32, [64], [Double](repeating: 1, count: 64)) }, to: folder("1"))
    func drawn(_ seed: String, weights: [String]) throws -> [[Float]] {
      let method = try MergingMethodKind.named("dare-linear").method([
        .init("lambda"): "1", .init("density"): "0.5", .init("seed"): seed, .init("weight", expert: "a"): weights[0],
        .init("weight", expert: "b"): weights[1],
      ])
      let experts = ["a", "b"].map { MergeSources.Expert(name: $0, source: tuned.source) }
      let merged = try SharedModelSource(MergeSources(base: base.source, experts: experts), method: method)
      return try names.map { name in
        try merged.bytes(of: merged.tensor(named: name)!).withBytes { raw in
          (0..<64).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
      }
    }
    let first = try drawn("0", weights: ["1", "0"])
    #expect(Set(first[0]) == [0, 2])
    #expect(first[0] != first[1])
    #expect(try drawn("0", weights: ["0", "1"])[0] != first[0])
    #expect(try drawn("1", weights: ["1", "0"])[0] != first[0])
    #expect(try drawn("0", weights: ["1", "0"]) == first)
  }

  @Test(
    "Settings that contradict each other are refused",
    arguments: [
      ("della", ["density=0.9", "epsilon=0.2"]), ("della", ["epsilon@x=0.4"]), ("della-linear", ["density@x=0.01"]),
      ("cabs", ["n=5", "m=4"]),
    ])
  func refuses(_ method: String, _ settings: [String]) {
    #expect(code { _ = try MergingCase(method, settings).make() } == .invalidArgument)
  }
}
