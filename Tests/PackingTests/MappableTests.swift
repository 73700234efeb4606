import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TestSupport
import Testing

/// Archives whose shared model is stored as it is (TMP-5-12).
@Suite struct MappableTests {
  private let folder = TemporaryFolder()

  private func model(_ name: String, seed: UInt64) throws -> Checkpoint {
    try writeModel(
      [
        tensor("large", .bf16, [1100, 1024], noise(1100 * 1024, seed: seed)),
        tensor("odd", .f32, [211, 101], noise(211 * 101, seed: seed + 1)),
        tensor("small", .f32, [8, 4], noise(32, seed: seed + 2)),
      ], to: folder("\(name).safetensors"))
  }

  private func pack(_ name: String, isMappable: Bool) throws -> Archive {
    let plan = try FactorPlan(.lowRank(rank: 2), dtype: .int8)
    _ = try Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(plan)), isMappable: isMappable
    ).pack(
      base: model("base", seed: 1),
      experts: [
        ExpertInput(name: "a", checkpoint: model("a", seed: 11)),
        ExpertInput(name: "b", checkpoint: model("b", seed: 21)),
      ], to: folder(name))
    return try Archive(folder(name))
  }

  @Test func givesTheSameBitsAsACompressedOne() throws {
    let mappable = try pack("mappable.tmpack", isMappable: true)
    let compressed = try pack("compressed.tmpack", isMappable: false)
    #expect(mappable.isMappable && !compressed.isMappable)
    for weights in ["a=1", "a=0.5,b=0.25"] {
      for limit in [0, Int.max] {
        let mix = try Reconstructor(mappable, memoryLimit: limit).mix(RouterWeights(parsing: weights))
        let expected = try Reconstructor(compressed).mix(RouterWeights(parsing: weights))
        #expect(try digests(of: mix) == digests(of: expected), "\(weights)")
      }
    }
  }

  @Test func aTensorLiesInTheFileAsItIs() throws {
    let archive = try pack("mappable.tmpack", isMappable: true)
    let file = try contents(archive.path)
    let base = try Checkpoint.open(folder("base.safetensors")).source
    for name in ["large", "odd"] {
      let own = try bytes(of: base, name)
      let place = try #require(file.firstRange(of: own), "\(name)").lowerBound
      #expect(place.isMultiple(of: 64), "\(name)")
    }
  }

  @Test func damageIsFoundWhenItIsRead() throws {
    let archive = try pack("mappable.tmpack", isMappable: true)
    var file = try contents(archive.path)
    let own = try bytes(of: Checkpoint.open(folder("base.safetensors")).source, "large")
    let place = try #require(file.firstRange(of: own)).lowerBound
    for byte in [0, (1 << 20) + 7, own.count - 1] {
      file[place + byte] ^= 4
      try put(file, at: folder("damaged.tmpack"))
      let damaged = try Archive(folder("damaged.tmpack"))
      for limit in [0, Int.max] {
        let mix = try Reconstructor(damaged, memoryLimit: limit).mix(.expert("a"))
        #expect(failure { _ = try bytes(of: mix, "large") }?.code == .digestMismatch, "byte \(byte)")
      }
      #expect(try !Verification(damaged).run(.full).isSound)
      file[place + byte] ^= 4
    }
  }

  @Test func itStaysSoWhereExpertsComeAndGo() throws {
    let archive = try pack("mappable.tmpack", isMappable: true)
    try archive.write(without: ["a"], to: archive.path, replacing: true)
    let less = try Archive(folder("mappable.tmpack"))
    #expect(less.isMappable && less.experts.map(\.name) == ["b"])
    #expect(try Verification(less).run(.deep).isSound)
  }
}
