import TMPackCheckpoints
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// Experts whose vocabularies have grown: more rows than the base's, which come first.
@Suite struct ExtraRowsTests {
  private let folder = TemporaryFolder()

  private func model(_ name: String, _ tensors: [(String, [Int], [Double])]) throws -> Checkpoint {
    try writeModel(tensors.map { try tensor($0.0, .f32, $0.1, $0.2) }, to: folder("\(name).safetensors"))
  }

  private func archive(
    _ base: Checkpoint, _ experts: [(String, Checkpoint)], _ rules: TensorRules = TensorRules(.exact)
  ) throws -> Archive {
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules).pack(
      base: base, experts: experts.map { try ExpertInput(name: $0.0, checkpoint: $0.1) }, to: folder("zoo.tmpack"),
      replacing: true)
    return try Archive(folder("zoo.tmpack"))
  }

  private func floats(_ archive: Archive, _ weights: String, _ name: String) throws -> [Float] {
    let mix = try Reconstructor(archive).mix(RouterWeights(parsing: weights))
    return try bytes(of: mix, name).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  private var embed: [Double] { [1, 2, 3, 4] }

  // TMP-6-25, TMP-6-26, TMP-7-17
  @Test func rowsInCommonAddUpAndOthersAreTheDeciders() throws {
    let base = try model("base", [("e", [2, 2], embed), ("w", [1], [1])])
    let a = try model("a", [("e", [2, 2], [2, 2, 3, 4]), ("w", [1], [1])])
    let b = try model("b", [("e", [3, 2], [1, 2, 3, 6, 8, 9]), ("w", [1], [1])])
    let c = try model("c", [("e", [4, 2], embed + [5, 6, 7, 8]), ("w", [1], [1])])
    let archive = try archive(base, [("a", a), ("b", b), ("c", c)])
    let entries = try ["a", "b", "c"].map { try archive.manifest(ofExpert: $0).tensors }
    #expect(entries.map { $0.map(\.factor.kind) } == [[.difference], [.difference], [.common]])
    #expect(try floats(archive, "b=1", "e") == [1, 2, 3, 6, 8, 9])
    #expect(try floats(archive, "c=1", "e") == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(try floats(archive, "a=0.5,b=0.25", "e") == [1.5, 2, 3, 4.5])
    #expect(try floats(archive, "a=0.25,b=0.5", "e") == [1.25, 2, 3, 5, 8, 9])
    #expect(try floats(archive, "b=0.5,c=0.75", "e") == [1, 2, 3, 5, 5, 6, 7, 8])
    #expect(try floats(archive, "c=0.5", "e") == [1, 2, 3, 4, 5, 6, 7, 8])
  }

  // TMP-7-16
  @Test func aHeadThatTheBaseLacksFollowsItsEmbeddings() throws {
    let base = try model("base", [("e", [2, 2], embed)])
    let a = try model("a", [("e", [2, 2], [2, 2, 3, 4])])
    let grown = [1, 2, 3, 6, 8, 9.0]
    let b = try model("b", [("e", [3, 2], grown), ("head", [3, 2], grown)])
    let archive = try archive(base, [("a", a), ("b", b)])
    for weights in ["b=1", "a=0.25,b=0.5", "a=0.5,b=0.25"] {
      #expect(try floats(archive, weights, "head") == floats(archive, weights, "e"), "\(weights)")
    }
  }

  // A head of more classes has nothing in common with the base's.
  @Test func anotherHeadStaysWhole() throws {
    let base = try model("base", [("head", [2, 3], noise(6, seed: 1)), ("w", [64, 64], noise(4096, seed: 2))])
    let a = try model("a", [("head", [3, 3], noise(9, seed: 3)), ("w", [64, 64], noise(4096, seed: 2))])
    let archive = try archive(base, [("a", a)])
    #expect(try archive.manifest(ofExpert: "a").tensors.map(\.factor.kind) == [.replaced])
    #expect(!archive.experts[0].summary.factors.keys.contains("common"))
  }

  @Test func aLossyFactorIsOfTheRowsInCommonAndFewBytes() throws {
    let rows = (base: noise(200 * 64, seed: 1), change: noise(200 * 64, scale: 0.01, seed: 2), more: noise(64, seed: 3))
    let base = try model("base", [("e", [200, 64], rows.base)])
    let a = try model("a", [("e", [201, 64], zip(rows.base, rows.change).map { $0 + $1 } + rows.more)])
    let rules = TensorRules(.factor(try FactorPlan(.lowRank(rank: 4), dtype: .int8)))
    let archive = try archive(base, [("a", a)], rules)
    let entry = try archive.manifest(ofExpert: "a").tensors[0]
    #expect(entry.factor.kind == .lowRank && entry.extra?.size == 256)
    #expect(archive.experts[0].summary.bytes < 5000)
    #expect(try floats(archive, "a=1", "e").suffix(64) == rows.more.map(Float.init)[...])
    // What is proved of an expert is proved of one that has grown, too.
    let findings = try Verification(archive).proveSource(ofExpert: "a", a.source)
    #expect(findings.isEmpty, "\(findings.faults)")
    #expect(try Verification(archive).run(.deep).isSound)
  }

  // TMP-6-27: the archive needs the feature as long as an expert has such rows.
  @Test func theFeatureGoesWithTheLastSuchExpert() throws {
    let base = try model("base", [("e", [2, 2], embed), ("w", [1], [1])])
    let a = try model("a", [("e", [2, 2], [2, 2, 3, 4]), ("w", [1], [1])])
    let b = try model("b", [("e", [3, 2], embed + [5, 6]), ("w", [1], [1])])
    func index(_ path: String) throws -> Bool { try Archive(path).file.index.required.contains(.extraRows) }
    let plain = try archive(base, [("a", a)])
    #expect(try !index(plain.path))
    _ = try Packer(rules: TensorRules(.exact)).add([ExpertInput(name: "b", checkpoint: b)], to: plain)
    #expect(try index(plain.path))
    try Archive(plain.path).write(without: ["a"], to: folder("b.tmpack"), replacing: false)
    try Archive(plain.path).write(without: ["b"], to: folder("a.tmpack"), replacing: false)
    #expect(try index(folder("b.tmpack")) && !index(folder("a.tmpack")))
  }

  @Test func aStrangerIsKnownByTheAngle() throws {
    func model(_ name: String, _ seed: UInt64, change: Double = 0) throws -> Checkpoint {
      try self.model(
        name,
        (0..<UInt64(4)).map { i in
          let values = noise(1024, seed: seed + i)
          return ("w\(i)", [32, 32], zip(values, noise(1024, scale: change + 1e-9, seed: 90 + i)).map { $0 + $1 })
        })
    }
    let base = try model("base", 1)
    let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
    for (name, checkpoint, isStranger) in try [
      ("near", model("near", 1, change: 0.1), false), ("far", model("far", 1, change: 0.9), false),
      ("stranger", model("stranger", 50), true),
    ] {
      let summary = try packer.pack(
        base: base, experts: [ExpertInput(name: name, checkpoint: checkpoint)], to: folder("\(name).tmpack"))
      #expect(summary.changes[0].isIndependent == isStranger, "\(summary.changes[0])")
      if name == "near" { #expect(abs(summary.changes[0].relative! - 0.1) < 0.01) }
    }
  }
}
