import TMPackByteIO
import TMPackReading
import TestSupport
import Testing

/// The example of `Router`, kept compiling.
@Suite struct RouterExample {
  private func run(in folder: TemporaryFolder, _ embeddings: [[Float]]) throws {
    func path(_ name: String) -> String { folder(name) }

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
  }

  @Test func works() throws {
    let golden = try #require(Golden.all.first { $0.name == "router" })
    let folder = TemporaryFolder()
    try put(contents(golden.path), at: folder("zoo.tmpack"))
    try run(in: folder, [[0, 0, 0], [1, -2, 0.5]])
  }

  @Test func isTheSameInTheDocumentation() throws {
    func example(in file: String, after start: String, to end: String, prefix: String) throws -> [String] {
      let text = String(decoding: try contents(FileTree.join(packageRoot, file)), as: UTF8.self)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      let begin = try #require(lines.firstIndex { $0 == start })
      return lines[(begin + 1)...].prefix { $0 != end }.map { String($0.dropFirst(prefix.count)) }
    }
    let compiled = try example(
      in: "Tests/TMPackTests/Router/RouterExample.swift", after: "    // example", to: "    // end", prefix: "    "
    ).map { $0.replacing(/path\(("[^"]*")\)/) { String($0.1) } }
    #expect(compiled.count > 5)
    #expect(
      try example(in: "Sources/Reading/Router/Router.swift", after: "/// ```swift", to: "/// ```", prefix: "/// ")
        == compiled)
  }
}
