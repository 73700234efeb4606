import TMPackCheckpoints
import TMPackMerging
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// Mixes of models of which some hold a copy of a tied weight and others none.
@Suite struct TiedMixTests {
  private let folder = TemporaryFolder()

  private func model(_ name: String, _ tensors: [(String, [Int], [Double])]) throws -> Checkpoint {
    try writeModel(tensors.map { try tensor($0.0, .f32, $0.1, $0.2) }, to: folder("\(name).safetensors"))
  }

  private func archive(_ base: Checkpoint, _ experts: [(String, Checkpoint)]) throws -> Archive {
    let packer = Packer(
      sharedModel: .merged(try MergingMethodKind.named("base").method([:])), rules: TensorRules(.exact))
    _ = try packer.pack(
      base: base, experts: experts.map { try ExpertInput(name: $0.0, checkpoint: $0.1) }, to: folder("zoo.tmpack"),
      replacing: true)
    return try Archive(folder("zoo.tmpack"))
  }

  private func floats(_ archive: Archive, _ weights: String, _ name: String) throws -> [Float]? {
    let mix = try Reconstructor(archive).mix(RouterWeights(parsing: weights))
    guard mix.tensor(named: name) != nil else { return nil }
    let bytes = try bytes(of: mix, name)
    return bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  private func checkSecondReader(_ archive: Archive) throws {
    guard PythonReader.isAvailable else { return }
    let weights = ["a=0.5,b=0.25", "a=0.25,b=0.5", "a=1", "b=1", "b=1,a=1"]
    let jobs = weights.map { PythonReader.Job(archive: archive.path, weights: $0) }
    for (weights, lines) in zip(weights, try PythonReader.run(jobs)) {
      #expect(try digests(of: Reconstructor(archive).mix(RouterWeights(parsing: weights))) == lines, "\(weights)")
    }
  }

  // TMP-7-15
  @Test func whatOneFileLacksIsItsPartner() throws {
    let base = try model("base", [("embed", [2, 2], [1, 2, 3, 4]), ("head", [2, 2], [1, 2, 3, 4])])
    let a = try model("a", [("embed", [2, 2], [2, 2, 3, 4])])
    let b = try model("b", [("embed", [2, 2], [1, 2, 3, 8]), ("head", [2, 2], [1, 2, 3, 8])])
    let archive = try archive(base, [("a", a), ("b", b)])
    #expect(try floats(archive, "a=0.5,b=0.25", "embed") == [1.5, 2, 3, 5])
    #expect(try floats(archive, "a=0.5,b=0.25", "head") == [1.5, 2, 3, 5])
    #expect(try floats(archive, "a=1", "head") == nil)
    try checkSecondReader(archive)
  }

  // TMP-7-16
  @Test func aCopyThatTheBaseLacksFollowsItsOriginal() throws {
    let base = try model("base", [("embed", [2, 2], [1, 2, 3, 4])])
    let a = try model("a", [("embed", [2, 2], [2, 2, 3, 4])])
    let b = try model("b", [("embed", [2, 2], [1, 2, 3, 8]), ("head", [2, 2], [1, 2, 3, 8])])
    let archive = try archive(base, [("a", a), ("b", b)])
    #expect(try floats(archive, "a=0.5,b=0.25", "head") == [1.5, 2, 3, 5])
    #expect(try floats(archive, "b=1", "head") == [1, 2, 3, 8])
    try checkSecondReader(archive)
    // A head of its own stays its own.
    let c = try model("c", [("embed", [2, 2], [1, 2, 3, 8]), ("head", [2, 2], [0, 0, 0, 7])])
    #expect(try floats(self.archive(base, [("a", a), ("c", c)]), "a=0.5,c=0.25", "head") == [0, 0, 0, 7])
  }
}
