import TMPackByteIO
import TestSupport
import Testing

/// ARCHITECTURE.md against the sources: the table of modules is what the imports are, and has no arrow that runs up.
@Suite struct ArchitectureTests {
  private struct Row {
    let module: String
    let imports: Set<String>
  }

  private static func text(_ file: String) throws -> String {
    String(decoding: try contents(FileTree.join(packageRoot, file)), as: UTF8.self)
  }

  /// `| NAME | what it is for | imports |`, the rows of the only table with that heading, the lowest module first.
  private static func rows() throws -> [Row] {
    let lines = try text("ARCHITECTURE.md").split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex { $0 == "| module | what it is for | imports |" })
    return lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map { line in
      let cells = line.split(separator: "|").map { $0.filter { $0 != "`" && $0 != " " } }
      return Row(
        module: cells[0], imports: Set((cells.count > 2 ? cells[2] : "").split(separator: ",").map(String.init)))
    }
  }

  private static func sources(in folder: String) throws -> [String] {
    var found: [String] = []
    for name in try FileTree.names(in: folder) {
      let path = FileTree.join(folder, name)
      if FileTree.kind(of: path) == .folder {
        found += try sources(in: path)
      } else if name.hasSuffix(".swift") {
        found.append(path)
      }
    }
    return found
  }

  /// The modules of this package that a module's files import.
  private static func imports(of module: String) throws -> Set<String> {
    var found: Set<String> = []
    for path in try sources(in: FileTree.join(packageRoot, "Sources/\(module)")) {
      for line in String(decoding: try contents(path), as: UTF8.self).split(separator: "\n") {
        let words = line.split(separator: " ")
        guard words.contains("import"), let last = words.last, last.hasPrefix("TMPack") else { continue }
        #expect(words.count == 2, "\(path): \(line): a module that exports another hides an arrow")
        found.insert(last == "TMPack" ? "TMPack" : String(last.dropFirst("TMPack".count)))
      }
    }
    return found
  }

  @Test func everyModuleIsInTheTable() throws {
    let folders = try FileTree.names(in: FileTree.join(packageRoot, "Sources"))
    #expect(Set(try Self.rows().map(\.module)) == Set(folders))
  }

  /// In a folder of its name, or in that of the module it is tested with; C modules with those that call them.
  @Test func everyModuleHasTests() throws {
    let others = ["Factors": "Factorization", "Journal": "Sharing", "TMPack": "Library", "TMPackTool": "Tool"]
    for module in try FileTree.names(in: FileTree.join(packageRoot, "Sources")) {
      guard try !Self.sources(in: FileTree.join(packageRoot, "Sources/\(module)")).isEmpty else { continue }
      let folder = FileTree.join(packageRoot, "Tests/\(others[module] ?? module)Tests")
      #expect(FileTree.kind(of: folder) == .folder, "\(module)")
    }
  }

  @Test func theTableSaysWhatIsImported() throws {
    for row in try Self.rows() {
      let found = try Self.imports(of: row.module)
      #expect(found == row.imports, "\(row.module)")
    }
  }

  @Test func arrowsGoUpOnly() throws {
    var below: Set<String> = []
    for row in try Self.rows() {
      #expect(row.imports.subtracting(below).isEmpty, "\(row.module)")
      below.insert(row.module)
    }
  }

  @Test func readingStandsOnNoLinearAlgebra() throws {
    let rows = try Self.rows()
    var (reached, open): (Set<String>, [String]) = ([], ["Reading"])
    while let module = open.popLast() {
      guard reached.insert(module).inserted else { continue }
      open += try #require(rows.first { $0.module == module }).imports
    }
    #expect(reached.contains("CZstd"))
    for module in ["COpenBLAS", "CLAPACKE", "Factorization", "Packing", "Merging"] {
      #expect(!reached.contains(module))
    }
  }

  @Test func noModuleNeedsFoundation() throws {
    for row in try Self.rows() where row.module != "TMPackTool" {
      for path in try Self.sources(in: FileTree.join(packageRoot, "Sources/\(row.module)")) {
        #expect(
          !(try Self.text(path.dropFirst(packageRoot.count + 1).description).contains("import Foundation")), "\(path)")
      }
    }
  }

  /// Top-level types that the sources declare public.
  private static func publicTypes() throws -> Set<String> {
    var found: Set<String> = []
    for row in try rows() where !["TMPack", "TMPackTool", "CInterface"].contains(row.module) {
      for path in try sources(in: FileTree.join(packageRoot, "Sources/\(row.module)")) {
        for line in String(decoding: try contents(path), as: UTF8.self).split(separator: "\n") {
          guard
            let type = line.firstMatch(of: /^public (?:final |indirect )*(?:struct|class|enum|protocol|actor) (\w+)/)
          else { continue }
          found.insert(String(type.1))
        }
      }
    }
    return found
  }

  @Test func thePublicTypesAreListed() throws {
    let listed = try Self.text("docs/public-api.md").matches(of: /\| `(\w+)` \|/).map { String($0.1) }
    #expect(Set(listed) == (try Self.publicTypes()))
    #expect(listed.count <= 50, "the public API is to stay small")
  }

  @Test func theFacadeNamesEveryPublicType() throws {
    let names = try Self.text("Sources/TMPack/PublicAPI.swift").matches(of: /typealias (\w+) =/).map { String($0.1) }
    #expect(Set(names) == (try Self.publicTypes()))
  }
}
