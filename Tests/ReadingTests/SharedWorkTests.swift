import ArchiveSupport
import TMPackDigests
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Tensors that several threads rebuild together: TMP-7-4 leaves threads free, for no element depends on another.
@Suite struct SharedWorkTests {
  private let folder = TemporaryFolder()

  /// Sides that no panel and no tile divides; more than a panel each, and more than a frame.
  private static let shapes: [(name: String, dtype: DType, shape: [Int])] = [
    ("a", .bf16, [1537, 1411]), ("b", .f32, [701, 1003]), ("c", .f64, [353, 1201]), ("d", .f16, [3001, 401]),
    ("e", .f32, [7, 70001]), ("experts", .bf16, [9, 151, 402]), ("f", .bf16, [1_400_003]),
  ]

  private func model(_ seed: UInt64, near base: UInt64? = nil) throws -> [SampleTensor] {
    try Self.shapes.enumerated().map { index, entry in
      let count = entry.shape.reduce(1, *)
      var values = noise(count, scale: 1, seed: 100 * (base ?? seed) + UInt64(index))
      if base != nil {
        let moved = noise(count, scale: 0.05, seed: 100 * seed + UInt64(index))
        for i in values.indices { values[i] += moved[i] }
      }
      return try tensor(entry.name, entry.dtype, entry.shape, values)
    }
  }

  /// An archive whose experts are low-rank, sparse, dense, quantised and exact.
  private func archive() throws -> Archive {
    func rules(_ method: FactorPlan.Method, _ dtype: FactorDType) throws -> TensorRules {
      TensorRules(.factor(try FactorPlan(method, dtype: dtype)), stacking: [(try Glob("experts"), .stack)])
    }
    let all: [(String, TensorRules)] = try [
      ("low", rules(.lowRank(rank: 5), .bf16)), ("rank", rules(.lowRank(rank: 3), .int8)),
      ("sparse", rules(.sparse(density: 0.01), .f16)), ("dense", rules(.dense, .int4)),
      ("signs", rules(.signs, .bf16)), ("quantised", TensorRules(.controlled)), ("exact", TensorRules(.exact)),
    ]
    let base = try writeModel(model(1), to: folder("base.safetensors"))
    for (index, (name, rules)) in all.enumerated() {
      let packer = Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: try RateControl(.quality(4)))
      let expert = try ExpertInput(
        name: name, checkpoint: writeModel(model(UInt64(index + 2), near: 1), to: folder("\(name).safetensors")))
      if index == 0 {
        _ = try packer.pack(base: base, experts: [expert], to: folder("a.tmpack"))
      } else {
        _ = try packer.add([expert], to: Archive(folder("a.tmpack")))
      }
    }
    return try Archive(folder("a.tmpack"))
  }

  @Test func giveTheSameBitsForAnyNumberOfThreads() throws {
    let archive = try archive()
    for text in [
      "low=0.5,rank=-1.5", "low=0.3,rank=0.2,sparse=0.7,dense=0.9,signs=1.1,quantised=0.4,exact=0.6", "exact=1", "",
    ] {
      for dtype in [nil, FloatFormat.f16] {
        var expected: [ContentDigest]?
        for threads in [1, 2, 3, 8] {
          let cache = try MixCache(
            Reconstructor(archive, memoryLimit: threads == 3 ? 0 : .max), memoryLimit: 0, resolution: 1 << 10,
            dtype: dtype,
            pipeline: OrderedPipeline(threads: threads))
          let source = try cache.mix(weights(text)).source
          let found = try source.tensors.map { try source.bytes(of: $0).withBytes { ContentDigest(of: $0) } }
          if let expected { #expect(found == expected, "\(text), \(threads) threads") } else { expected = found }
        }
        // Outside a pipeline, too.
        let mix = try Reconstructor(archive).mix(cacheWeights(text), dtype: dtype)
        #expect(try mix.tensors.map { try mix.bytes(of: $0).withBytes { ContentDigest(of: $0) } } == expected)
      }
    }
  }

  /// As the cache rounds them.
  private func cacheWeights(_ text: String) throws -> RouterWeights {
    try RouterWeights(weights(text).entries.map { ($0.name, ($0.weight * 1024).rounded() / 1024) })
  }
}
