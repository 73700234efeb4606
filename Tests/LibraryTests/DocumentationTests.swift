import TMPack
import TestSupport
import Testing

/// What the documentation shows of the library is what `LibraryExamples` compiles.
@Suite struct DocumentationTests {
  private static let catalogue = "Sources/TMPack/TMPack.docc"

  private static func lines(of file: String) throws -> [String] {
    String(decoding: try contents("\(packageRoot)/\(file)"), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// The runs of lines between one that is `start` and the next that is `end`, without the margin of the first: its spaces and `prefix`.
  private static func blocks(in lines: [String], prefix: String = "", from start: String, to end: String) -> [[String]]
  {
    var blocks: [[String]] = []
    var block: [String]?
    var margin = 0
    for line in lines {
      let text = line.drop { $0 == " " }
      if text == prefix + start {
        block = []
        margin = line.count - text.count + prefix.count
      } else if text == prefix + end, let finished = block {
        blocks.append(finished)
        block = nil
      } else {
        block?.append(String(line.dropFirst(margin)))
      }
    }
    return blocks
  }

  private static func compiled() throws -> Set<[String]> {
    let lines = try lines(of: "Tests/LibraryTests/LibraryExamples.swift")
    return Set(
      blocks(in: lines, from: "// example", to: "// end").map { block in
        block.map { $0.replacing(/path\(("[^"]*")\)/) { String($0.1) } }
      })
  }

  static let documented = [
    "README.md", "Sources/Checkpoints/Checkpoint.swift", "Sources/Checkpoints/Writing/CheckpointDestination.swift",
    "Sources/Packing/Packer+Use.swift", "Sources/Reading/Archive.swift", "Sources/Reading/Router/Router.swift",
    "Sources/TensorKit/TypedMetadata.swift", "\(catalogue)/TMPack.md", "\(catalogue)/ReadingArchives.md",
    "\(catalogue)/PackingFineTunes.md", "\(catalogue)/WorkingWithCheckpoints.md",
  ]

  @Test(arguments: documented) func showsWhatCompiles(_ file: String) throws {
    let compiled = try Self.compiled()
    #expect(compiled.count > 8 && compiled.allSatisfy { !$0.isEmpty })
    let shown = Self.blocks(
      in: try Self.lines(of: file), prefix: file.hasSuffix(".swift") ? "/// " : "", from: "```swift", to: "```")
    #expect(!shown.isEmpty)
    for block in shown {
      let code = Array(block.drop { $0.isEmpty || $0.hasPrefix("import ") })
      let isCompiled = compiled.contains(code)
      #expect(isCompiled, "\(code.joined(separator: "\n"))")
    }
  }

  @Test func everyPublicTypeHasATopic() throws {
    let listed = try Self.lines(of: "docs/public-api.md").joined(separator: "\n").matches(of: /\| `(\w+)` \|/)
    let topics = try Self.lines(of: "\(Self.catalogue)/TMPack.md").joined(separator: "\n").matches(
      of: /- ``(?:.*\/)?(\w+)``/)
    #expect(Set(listed.map { String($0.1) }) == Set(topics.map { String($0.1) }))
  }
}
