import TMPackTensorKit
import TestSupport
import Testing

@Suite struct RenamingTests {
  static let cases: [(rule: String, old: String, new: String?)] = [
    ("module.*=*", "module.a.b", "a.b"), ("module.*=*", "a.module.b", nil), ("*=m.*", "a", "m.a"),
    ("*=m.*", "", "m."), ("a=b", "a", "b"), ("a=b", "aa", nil), ("a=", "a", ""), ("=a", "", "a"), ("=a", "b", nil),
    ("layers.*.w=blocks.*.weight", "layers.3.attn.w", "blocks.3.attn.weight"),
    ("layers.*.*.w=*/*", "layers.3.attn.q.w", "3/attn.q"), ("*.*.*=*-*-*", "a.b.c.d", "a-b-c.d"),
    ("*.*=*", "a.b", "a"), ("*a*=*b*", "xaya", "xbya"), ("**=*|*", "ab", "|ab"), ("a*a=*", "a", nil),
    ("a*a=*", "aa", ""), ("é*=e*", "é1", "e1"), ("e*=x*", "é", nil), ("a=b=c", "a", "b=c"),
  ]

  @Test(arguments: cases.indices) func renames(_ index: Int) throws {
    let (rule, old, new) = Self.cases[index]
    #expect(try RenamingRule(parsing: rule).newName(of: old) == new)
  }

  @Test(arguments: ["a", "", "a=*", "*=*.*"]) func refuses(_ rule: String) {
    #expect(code { _ = try RenamingRule(parsing: rule) } == .invalidArgument)
  }

  private func renamed(_ names: [String], _ rules: String...) throws -> RenamedSource {
    try RenamedSource(
      source(names.map { try info($0, .u8, [4]) }), by: rules.map { rule in try RenamingRule(parsing: rule) })
  }

  @Test func theFirstRuleThatFitsCounts() throws {
    let source = try renamed(["a.x", "a.y", "b"], "a.x=1", "a.*=2.*")
    #expect(source.tensors.map(\.name) == ["1", "2.y", "b"])
    #expect(source.renamedCount == 2)
    // The bytes go with the names, whatever the new order.
    let swapped = try renamed(["a", "b"], "a=c")
    #expect(swapped.tensors.map(\.name) == ["b", "c"])
    let original = try TestSupport.source([info("a", .u8, [4]), info("b", .u8, [4])])
    #expect(try bytes(of: swapped, "c") == bytes(of: original, "a"))
  }

  @Test func aCollisionNamesBoth() throws {
    for names in [["a.w", "b.w", "c"], ["a.w", "w"]] {
      let error = failure { _ = try renamed(names, "*.w=w") }
      #expect(error?.code == .invalidArgument)
      #expect(error?.tensor == "w")
      for name in names.prefix(2) { #expect(error?.message.contains(name) == true, "\(String(describing: error))") }
    }
    // Two names may be exchanged.
    #expect(try renamed(["a", "b"], "a=b", "b=a").tensors.map(\.name) == ["a", "b"])
  }

  @Test func aRuleThatFitsNothingIsAnError() {
    let error = failure { _ = try renamed(["a"], "b=c") }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("b=c") == true)
  }

  /// As `save_model` of safetensors notes a tensor that is another by another name.
  @Test func aliasesInTheMetadataFollow() throws {
    let metadata = ["head.weight": "emb.weight", "format": "pt", "note": "emb"]
    let source = try RenamedSource(
      source([info("emb.weight", .f32, [1])], metadata: metadata), by: [RenamingRule(parsing: "*.weight=model.*.w")])
    #expect(source.metadata == ["model.head.w": "model.emb.w", "format": "pt", "note": "emb"])
    #expect(source.typedMetadata.strings == source.metadata)
  }
}
