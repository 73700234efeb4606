import ArchiveSupport
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading
import TestSupport
import Testing

/// Adapters of peft 0.21.2 on models of transformers 5.24, with what `merge_and_unload` makes of them
/// (`Fixtures/foreign/make_adapters.py`).
enum TodaysAdapter: String, CaseIterable, Sendable {
  case tiedWholeEmbedding = "tied-whole-embedding"
  case tiedWholeHead = "tied-whole-head"
  case tiedHead = "tied-head"
  case tiedOneForBoth = "tied-one-for-both"
  case tokens
  case tiedTokens = "tied-tokens"
  case moreTokens = "more-tokens"
  case biases
  case squareConv1D = "square-conv1d"
  case doraEmbedding = "dora-embedding"
  case monteclora
  case transposedExperts = "transposed-experts"
  case experts

  func path(_ name: String) -> String {
    FileTree.join(packageRoot, "Fixtures/foreign/adapters/\(rawValue)/\(name)")
  }

  func base() throws(StorageError) -> Checkpoint { try Checkpoint.open(path("base")) }

  func adapter() throws(StorageError) -> Checkpoint {
    try Checkpoint.open(path("adapter"), onBase: try AdapterBase(base()))
  }
}

@Suite struct TodaysAdapterTests {
  let folder = TemporaryFolder()

  @Test(arguments: TodaysAdapter.allCases) func mergesAsPeftDoes(_ fixture: TodaysAdapter) throws {
    let expected = try Checkpoint.open(fixture.path("merged"))
    let merged = try fixture.adapter()
    #expect(merged.source.tensors == expected.source.tensors)
    #expect(try worstDifference(expected.source, merged.source) <= 4e-6)
    for info in merged.source.tensors { #expect(try hasSameParts(merged.source, info), "\(info)") }
    let base = try fixture.base()
    let isSame = try expected.source.tensors == base.source.tensors && Comparison(expected.source, base.source).isEqual
    #expect(!isSame)
  }

  /// `config.json` says of ties and of the vocabulary what peft's merge leaves.
  @Test(arguments: TodaysAdapter.allCases) func saysWhatTheModelIs(_ fixture: TodaysAdapter) throws {
    let (merged, base) = (try fixture.adapter(), try fixture.base())
    let files = merged.carriedFiles + base.carriedFiles
    let actual = try configuration(files)
    let expected = try configuration(Checkpoint.open(fixture.path("merged")).carriedFiles)
    for name in ["tie_word_embeddings", "vocab_size"] { #expect(actual[name] == expected[name], "\(name)") }
  }

  private func configuration(_ files: [CarriedFile]) throws -> JSONObject {
    let file = try #require(files.first { $0.name.text == "config.json" })
    return try JSONValue(parsing: file.content.bytes()).asObject("config.json")
  }

  @Test(arguments: [TodaysAdapter.tiedWholeEmbedding, .tiedWholeHead])
  func mergingUntiesTheBaseToo(_ fixture: TodaysAdapter) throws {
    let untied = try fixture.base().untied(asIn: [fixture.adapter().source])
    let expected = try Checkpoint.open(fixture.path("merged"))
    #expect(untied.source.tensors == expected.source.tensors)
    #expect(try configuration(untied.carriedFiles)["tie_word_embeddings"] == .bool(false))
    let tied = try fixture.base().untied(asIn: [TodaysAdapter.tiedHead.adapter().source])
    #expect(try tied.source.tensors == fixture.base().source.tensors)
  }

  /// peft merges one update of both sides of a tie twice; who reads the notes knows.
  @Test func saysThatATieChangesAsOne() throws {
    let notes = try TodaysAdapter.tiedOneForBoth.adapter().notes.joined(separator: "\n")
    #expect(notes.contains("are tied"))
  }
}
