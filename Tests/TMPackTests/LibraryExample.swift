import TMPack
import TestSupport
import Testing

/// The example of the README, kept compiling.
@Suite struct LibraryExample {
  // An archive, some router weights, and each tensor in the caller's memory.
  private func load(_ path: String) throws -> [String: [UInt8]] {
    let archive = try Archive(path)
    let reconstructor = try Reconstructor(archive)
    let mix = try reconstructor.mix(RouterWeights(parsing: "code=0.7,math=0.3"))
    var model: [String: [UInt8]] = [:]
    for info in mix.tensors {
      var bytes = [UInt8](repeating: 0, count: info.byteCount)
      try bytes.withUnsafeMutableBytes { memory in try mix.read(info, into: memory) }
      model[info.name] = bytes
    }
    return model
  }

  @Test func works() throws {
    let golden = try #require(Golden.all.first { $0.name == "low-rank-bf16" })
    let model = try load(golden.path)
    let digests = golden.mixes.first { $0.weights == "code=0.7,math=0.3" }!.digests
    #expect(model.count == digests.count)
    for line in digests {
      let words = line.split(separator: " ")
      #expect(Digest(of: model[String(words[0])]!).hexadecimal == words[3])
    }
  }
}
