import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackPlanning
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Experts as masks of the sum of all their task vectors (Wang et al., 2024, arXiv 2405.07813).
@Suite struct TALLMaskTests {
  private let folder = TemporaryFolder()
  private static let shapes = [[7, 9], [6, 2, 5], [1, 30], [30, 1], [40, 64], [7], [1], []]

  private func expert(_ name: String, _ tensors: [SampleTensor]) throws -> ExpertInput {
    try ExpertInput(name: name, checkpoint: writeModel(tensors, to: folder("\(name).safetensors")))
  }

  private func base(_ tensors: [SampleTensor]) throws -> Checkpoint {
    try writeModel(tensors, to: folder("base.safetensors"))
  }

  private func packer(_ lambda: Double = 0.4, threads: Int = 2, exact: Bool = false) throws -> Packer {
    Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.tallMask(try TALLMaskPlan(lambda: lambda))),
      storesCorrections: exact, pipeline: OrderedPipeline(threads: threads))
  }

  private func pack(_ packer: Packer, base: Checkpoint, _ experts: [ExpertInput], to name: String = "a.tmpack")
    throws -> Archive
  {
    _ = try packer.pack(base: base, experts: experts, to: folder(name), replacing: true)
    return try Archive(folder(name))
  }

  /// A base, and three experts near it; `seed` 0 is the base.
  private func model(_ seed: UInt64) throws -> [SampleTensor] {
    try Self.shapes.enumerated().map { index, shape in
      let count = shape.reduce(1, *)
      let start = noise(count, seed: UInt64(index) + 1)
      let moved = noise(count, scale: 0.1 * Double(seed), seed: 100 * seed + UInt64(index))
      return try tensor("t\(index)", .f32, shape, zip(start, moved).map { Double(Float($0)) + $1 })
    }
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Float] {
    try bytes(of: source, name).withUnsafeBytes { raw in
      (0..<raw.count / 4).map {
        Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
      }
    }
  }

  // TMP-6-23: element by element, from the definition.
  @Test(arguments: [0, 0.4, 1, 3]) func isTheSelectedPartOfTheSum(_ lambda: Double) throws {
    let experts = try (1...3).map { try expert("x\($0)", model($0)) }
    let base = try base(model(0))
    let archive = try pack(packer(lambda), base: base, experts)
    for (index, shape) in Self.shapes.enumerated() {
      let name = "t\(index)"
      let start = try floats(base.source, name)
      let own = try experts.map { try floats($0.checkpoint.source, name) }
      let sum = start.indices.map { i in own.reduce(0) { $0 + Double($1[i]) - Double(start[i]) } }
      let rms = (sum.reduce(0) { $0 + $1 * $1 } / Double(sum.count)).squareRoot()
      let whole = sum.map { Float($0) }.withUnsafeBufferPointer {
        QuantizedDenseFactor(
          quantizing: $0, rows: shape.first ?? 1, columns: sum.count / (shape.first ?? 1), step: rms / 4)!
      }
      for (expert, values) in zip(experts, own) {
        let entry = try #require(archive.manifest(ofExpert: expert.name).entry(named: name))
        guard shape.count > 1 else {
          #expect(entry.factor.kind == .dense)
          continue
        }
        let expected = start.indices.map { i in
          let shared = Double(whole.scale) * Double(whole.symbols[i])
          let own = Double(values[i] - start[i])
          let isSelected = abs(own) >= lambda * abs(shared - own)
          return isSelected ? start[i].addingProduct(whole.scale, Float(whole.symbols[i])) : start[i]
        }
        if expected == start {
          #expect(entry.factor.kind == .dropped)
        } else {
          #expect(entry.factor.kind == .masked)
        }
        #expect(try floats(Reconstructor(archive).mix(.expert(expert.name)), name) == expected, "\(name)")
        #expect(try Verification(archive).proveSource(ofExpert: expert.name, expert.checkpoint.source).isEmpty)
      }
    }
  }

  // TMP-5-4: frames of equal bytes are stored once.
  @Test(arguments: [(500, 400), (50, 70)]) func theVectorIsStoredOnce(_ rows: Int, _ columns: Int) throws {
    let count = rows * columns
    let start = noise(count, seed: 1)
    func model(_ seed: UInt64) throws -> [SampleTensor] {
      try [tensor("w", .f32, [rows, columns], zip(start, noise(count, scale: 0.1, seed: seed)).map { $0 + $1 })]
    }
    let experts = try (2...4).map { try expert("x\($0)", model($0)) }
    let archive = try pack(packer(), base: base([tensor("w", .f32, [rows, columns], start)]), experts)
    let sizes = try experts.map { expert in
      guard case .lossy(let layout) = try archive.manifest(ofExpert: expert.name).tensors[0].factor,
        layout.form == .masked
      else {
        throw StorageError(.malformed, "not masked")
      }
      return (mask: layout[.mask].size, vector: layout[.vector].size)
    }
    #expect(sizes[0].vector > 1 << 10 && sizes.allSatisfy { $0.vector == sizes[0].vector && $0.mask <= count / 8 })
    let bytes = archive.experts.map { Int($0.summary.bytes) }
    // All but the masks, which differ a little: with the vector, and without it.
    let rest = zip(bytes, sizes).map { $0 - $1.mask }
    #expect(rest[0] - rest[1] > sizes[0].vector - 200 && rest[0] - rest[2] > sizes[0].vector - 200, "\(bytes)")
  }

  @Test func theBytesDoNotDependOnThreads() throws {
    let experts = try (1...3).map { try expert("x\($0)", model($0)) }
    let base = try base(model(0))
    _ = try pack(packer(threads: 1), base: base, experts, to: "one")
    _ = try pack(packer(threads: 4), base: base, experts, to: "four")
    #expect(try contents(folder("one")) == contents(folder("four")))
  }

  /// Of experts that cancel out, nothing is left to select; of one alone, all.
  @Test func expertsThatCancelOut() throws {
    let start = try tensor("w", .f32, [2, 3], [0, 0, 0, 0, 0, 0])
    let up = try expert("up", [tensor("w", .f32, [2, 3], [1, 2, -1, 4, 1, 2])])
    let down = try expert("down", [tensor("w", .f32, [2, 3], [-1, -2, 1, -4, -1, -2])])
    let both = try pack(packer(), base: base([start]), [up, down])
    for name in ["up", "down"] {
      let entry = try #require(both.manifest(ofExpert: name).entry(named: "w"))
      #expect(entry.factor.kind == .dropped && entry.measures?.error.value == 1)
    }
    let alone = try pack(packer(), base: base([start]), [up])
    #expect(try #require(alone.manifest(ofExpert: "up").entry(named: "w")?.measures).error.value < 0.1)
  }

  // TMP-6-17: corrections, as of any lossy factor.
  @Test func correctionsMakeItExact() throws {
    let experts = try (1...2).map { try expert("x\($0)", model($0)) }
    let archive = try pack(packer(exact: true), base: base(model(0)), experts)
    for expert in experts {
      #expect(try hasSameTensors(Reconstructor(archive).exact(expert.name), expert.checkpoint.source))
    }
  }

  @Test func refusesWhatItCannotBeMadeFor() throws {
    let experts = try (1...2).map { try expert("x\($0)", model($0)) }
    let base = try base(model(0))
    let rules = try packer().rules
    let merged = Packer(rules: rules)
    #expect(code { _ = try pack(merged, base: base, experts) } == .invalidArgument)
    let controlled = Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: try RateControl(.quality(8)))
    #expect(code { _ = try pack(controlled, base: base, experts) } == .invalidArgument)
    #expect(code { _ = try Planner(packer()).plan(base: base, experts: experts) } == .invalidArgument)
    for lambda in [-0.1, .nan, .infinity] { #expect(code { _ = try packer(lambda) } == .invalidArgument) }

    let archive = try pack(packer(), base: base, experts)
    let third = try expert("x3", model(3))
    let error = failure { _ = try packer().add([third], to: archive) }
    #expect(error?.code == .invalidArgument && error?.message.contains("packed together") == true)
    // Other factors need nothing of the other experts.
    _ = try Packer(rules: TensorRules(.factor(FactorPlan(.signs, dtype: .int8)))).add([third], to: archive)
    #expect(try Archive(archive.path).experts.map(\.name) == ["x1", "x2", "x3"])
  }

  @Test(arguments: [Double.nan, .infinity]) func refusesNonFiniteByName(_ value: Double) throws {
    let start = try tensor("w", .f32, [2, 2], [1, 2, 3, 4])
    let broken = try expert("broken", [tensor("w", .f32, [2, 2], [1, 2, value, 4])])
    let error = failure { _ = try pack(packer(), base: base([start]), [broken]) }
    #expect(error?.code == .nonFinite && error?.tensor == "w" && error?.expert == "broken")
    #expect(FileTree.kind(of: folder("a.tmpack")) == nil)
  }
}
