import TMPackByteIO
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct GlobTests {
  @Test(arguments: [
    ("*", "", true), ("*", "a.b", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a", "A", false),
    ("layer.*.weight", "layer.10.weight", true), ("layer.*.weight", "layer.1.attn.weight", true),
    ("layer.*.weight", "layer.weight", false), ("*.bias", "a.bias.x", false), ("?", "é", true), ("?", "", false),
    ("a?c", "abc", true), ("[ab]c", "bc", true), ("[!ab]c", "bc", false), ("[!ab]c", "cc", true),
    ("layers.[0-3].*", "layers.2.w", true), ("layers.[0-3].*", "layers.4.w", false), ("[]]", "]", true),
    ("[a-]", "-", true), ("[*]", "*", true), ("[*]", "a", false), ("a**b", "aXb", true), ("*a*b*c", "xaybzc", true),
    ("*a*b*c", "xaybz", false), ("ab*ba", "aba", false),
  ])
  func matches(_ pattern: String, _ name: String, _ expected: Bool) throws {
    #expect(try Glob(pattern).matches(name) == expected)
  }

  @Test(arguments: ["[", "[a", "a[!", "[]", "[z-a]"]) func refuses(_ pattern: String) {
    #expect(code { _ = try Glob(pattern) } == .invalidArgument)
  }

  @Test func staysQuickOnPatternsThatMakeOthersExponential() throws {
    let pattern = String(repeating: "a*", count: 60) + "b"
    #expect(try !Glob(pattern).matches(String(repeating: "a", count: 2000)))
  }
}

@Suite struct TensorSourceTests {
  @Test func selectsByPattern() throws {
    let all = try source(["a.bias", "a.weight", "b.bias", "b.weight"].map { try info($0, .u8, [3]) })
    let some = try TensorSelection(of: all, including: [Glob("a.*"), Glob("*.bias")], excluding: [Glob("b*")])
    #expect(some.tensors.map(\.name) == ["a.bias", "a.weight"])
    #expect(some.tensor(named: "b.bias") == nil)
    #expect(try bytes(of: some, "a.bias") == bytes(of: all, "a.bias"))
    #expect(try TensorSelection(of: all, excluding: [Glob("*.bias")]).tensors.count == 2)
  }

  /// Names in two Unicode spellings are two tensors, and no tie.
  @Test func tiesNoTensorsOfAlikeNames() throws {
    let all = try source(["é", "e\u{301}", "z"].map { try info($0, .u8, [3]) })
    #expect(TensorSelection(of: all).ties.isEmpty)
    #expect(["é": "a"].tie(of: "é") == "a")
    #expect(["é": "a"].tie(of: "e\u{301}") == nil)
  }

  @Test func refusesTensorsInMemoryThatDoNotAddUp() throws {
    let a = try info("a", .f32, [2])
    #expect(code { _ = try MemoryTensorSource([(a, TensorBytes([1, 2]))]) } == .shapeMismatch)
    let bytes = TensorBytes([UInt8](repeating: 0, count: 8))
    #expect(code { _ = try MemoryTensorSource([(a, bytes), (a, bytes)]) } == .invalidArgument)
  }

  @Test func aFailingFillFreesTheMemoryOnce() {
    for _ in 0..<100 {
      let failure = StorageError(.inputOutput, "no")
      #expect(code { _ = try TensorBytes(count: 4096) { _ throws(StorageError) in throw failure } } == .inputOutput)
    }
  }
}
