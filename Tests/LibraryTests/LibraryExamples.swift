import TMPack
import TestSupport
import Testing

/// The examples of the documentation, compiled and run: what stands between `// example` and `// end`, where `path("x")` is "x".
@Suite struct LibraryExamples {
  private let folder = TemporaryFolder()
  private func path(_ name: String) -> String { folder(name) }

  private func useGolden(_ name: String) throws {
    try put(contents("\(packageRoot)/Fixtures/golden/\(name).tmpack"), at: path("zoo.tmpack"))
  }

  @discardableResult
  private func writeMatrices(seed: UInt64, to name: String) throws -> Checkpoint {
    try writeModel(
      [
        tensor("weight", .f32, [24, 40], noise(960, scale: 0.1, seed: seed)),
        tensor("bias", .f32, [24], noise(24, seed: 1)),
      ],
      to: path(name))
  }

  @Test func mixes() throws {
    try useGolden("low-rank-bf16")
    // example
    let archive = try Archive(path("zoo.tmpack"))
    let reconstructor = try Reconstructor(archive)
    let mix = try reconstructor.mix(RouterWeights([("code", 0.7), ("math", 0.3)]))
    for tensor in mix.tensors {
      let bytes = try mix.bytes(of: tensor)
      print(tensor.name, tensor.dtype.rawValue, tensor.shape, bytes.count)
    }
    try CheckpointDestination(path("mix.safetensors")).write(mix)
    // end
    #expect(try hasSameTensors(Checkpoint.open(path("mix.safetensors")).source, mix))
  }

  @Test func routes() throws {
    try useGolden("router")
    let embeddings: [[Float]] = [[0, 0, 0], [1, -2, 0.5]]
    // example
    let archive = try Archive(path("zoo.tmpack"))
    let router = try Router(archive)
    let cache = try MixCache(Reconstructor(archive), memoryLimit: 4 << 30)
    for embedding in embeddings {
      let weights = try router.weights(for: embedding)
      let model = try cache.mix(weights)
      print(model.weights.entries, model.source.tensors.count)
    }
    // end
    #expect(cache.statistics.misses > 0)
  }

  @Test func packs() throws {
    try writeMatrices(seed: 1, to: "base")
    try writeMatrices(seed: 2, to: "math")
    // example
    let packer = try Packer(.lowRank(rank: 16, dtype: .bf16))
    let base = try Checkpoint.open(path("base"))
    let math = try ExpertInput(name: "math", checkpoint: Checkpoint.open(path("math")))
    let summary = try packer.pack(base: base, experts: [math], to: path("zoo.tmpack"))
    print(summary.archiveBytes, "of", summary.inputBytes)
    // end
    #expect(try Verification(Archive(path("zoo.tmpack"))).run(.full).isSound)
  }

  @Test func packsToASize() throws {
    let base = try writeMatrices(seed: 1, to: "base")
    let math = try ExpertInput(name: "math", checkpoint: writeMatrices(seed: 2, to: "math"))
    // example
    let budget = try RateControl(.bytesPerExpert(2000))
    let packer = try Packer(.quantized(budget), method: "average")
    try packer.pack(base: base, experts: [math], to: path("zoo.tmpack")) { progress in
      print(progress.done, "of", progress.total)
    }
    // end
    #expect(try Archive(path("zoo.tmpack")).size > 0)
  }

  @Test func opensCheckpoints() throws {
    try writeMatrices(seed: 1, to: "minilm")
    // example
    let checkpoint = try Checkpoint.open(path("minilm"))
    print(checkpoint.source.tensors.count, checkpoint.carriedFiles.map(\.name))
    // end
    #expect(checkpoint.source.tensors.count == 2)
  }

  @Test func writesCheckpoints() throws {
    try writeMatrices(seed: 1, to: "in")
    // example
    let input = try Checkpoint.open(path("in"))
    let output = try CheckpointDestination(path("out"))
    try output.write(input.source, carriedFiles: input.carriedFiles.map(\.content))
    // end
    #expect(try hasSameTensors(Checkpoint.open(path("out")).source, input.source))
  }

  @Test func convertsCheckpoints() throws {
    let input = try writeMatrices(seed: 1, to: "in")
    // example
    let halves = try ConvertedSource(input.source, to: .bf16)
    try CheckpointDestination(path("out.safetensors")).write(halves)
    let comparison = try Comparison(input.source, Checkpoint.open(path("out.safetensors")).source)
    print(comparison.relativeError, comparison.worstFirst.first?.left.name ?? "equal")
    // end
    #expect(comparison.relativeError > 0 && comparison.relativeError < 0.01)
  }

  @Test func verifies() throws {
    try useGolden("low-rank-bf16")
    // example
    let archive = try Archive(path("zoo.tmpack"))
    let report = try Verification(archive).run(.full)
    for fault in report.faults { print(fault.code.rawValue, fault.message) }
    print(archive.rootDigest, report.usableExperts)
    // end
    #expect(report.isSound && report.usableExperts == ["code", "math"])
  }

  @Test func describesTypedMetadata() throws {
    // example
    var metadata = TypedMetadata()
    metadata["general.architecture"] = .string("bert")
    metadata["bert.block_count"] = .uint32(6)
    // end
    #expect(metadata["bert.block_count"] == .uint32(6))
  }
}
