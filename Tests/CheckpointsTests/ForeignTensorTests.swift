import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// A tensor that is asked for need not be one of the source's: it is an error, never the end of the process.
@Suite struct ForeignTensorTests {
  @Test(arguments: ["m.safetensors", "m.pt", "m.npz", "m.gguf", "shards"])
  func ofAFile(_ name: String) throws {
    let folder = TemporaryFolder()
    let made = try source([info("a", .f32, [32, 4]), info("b", .f32, [64])])
    try CheckpointDestination(folder(name), maxShardBytes: name == "shards" ? 400 : 1 << 20).write(made)
    try expectErrors(Checkpoint.open(folder(name)).source)
  }

  @Test func ofASourceAroundAnother() throws {
    let made = try source([info("a", .f32, [32, 4]), info("b", .f32, [64])])
    try expectErrors(made)
    try expectErrors(ConvertedSource(made, to: .bf16))
    try expectErrors(RenamedSource(made, by: [RenamingRule(parsing: "*=x.*")]))
  }

  private func expectErrors(_ source: any TensorSource) throws {
    let own = source.tensors[0]
    for foreign in [try info("none", .f32, [4]), try info(own.name, own.dtype, own.shape.dimensions + [2])] {
      let error = failure { _ = try source.bytes(of: foreign) }
      #expect(error?.code == .unknownName)
      #expect(error?.tensor == foreign.name)
      #expect(code { _ = try source.stored(foreign) } ?? .unknownName == .unknownName)
    }
    #expect(try source.bytes(of: own).count == own.byteCount)
  }
}
