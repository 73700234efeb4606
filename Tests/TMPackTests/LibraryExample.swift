import TMPackByteIO
import TMPackCheckpoints
import TMPackReading
import TestSupport
import Testing

/// The example of `Archive` and of the README, kept compiling.
@Suite struct LibraryExample {
  // Paths that the example names are here.
  private func run(in folder: TemporaryFolder) throws {
    func path(_ name: String) -> String { folder(name) }

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
  }

  @Test func works() throws {
    let golden = try #require(Golden.all.first { $0.name == "low-rank-bf16" })
    let folder = TemporaryFolder()
    try put(contents(golden.path), at: folder("zoo.tmpack"))
    try run(in: folder)
    let made = try digests(of: Checkpoint.open(folder("mix.safetensors")).source)
    #expect(made == golden.mixes.first { $0.weights == "code=0.7,math=0.3" }!.digests)
  }

  /// The lines of the example in a text, without what each has in front of it.
  private static func example(in file: String, after start: String, to end: String, prefix: String) throws -> [String] {
    let text = String(decoding: try contents(FileTree.join(packageRoot, file)), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(lines.firstIndex { $0 == start })
    let example = lines[(begin + 1)...].prefix { $0 != end }
    return example.map { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : String($0) }
  }

  @Test func isTheSameEverywhere() throws {
    let compiled = try Self.example(
      in: "Tests/TMPackTests/LibraryExample.swift", after: "    // example", to: "    // end", prefix: "    "
    ).map { $0.replacing(/path\(("[^"]*")\)/) { String($0.1) } }
    #expect(compiled.count > 5)
    #expect(
      try Self.example(in: "Sources/Reading/Archive.swift", after: "/// ```swift", to: "/// ```", prefix: "/// ")
        == compiled)
    #expect(
      try Self.example(in: "README.md", after: "import TMPack", to: "```", prefix: "").dropFirst() == compiled[...])
  }
}
