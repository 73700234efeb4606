import TMPackCheckpoints
import TestSupport
import Testing

/// Keys of `rank_pattern`, as Python's `re.match(rf"(.*\.)?({key})$", name)` has them.
@Suite struct ModulePatternTests {
  private static let names = [
    "", "q_proj", "q", "model.layers.0.q_proj", "model.layers.10.q_proj", "model.layers.0.mlp.q_proj", "xq_proj",
    "a.xq_proj",
    "a.q_projx", "layers.0", "model.layers.0", "a..b", "a.b", "a\\.b", "q-proj", "Q_PROJ", "a.v_proj",
    "model.layersX0.q_proj",
  ]
  private static let patterns = [
    "q_proj", "layers.0.q_proj", "^q_proj", "^model.layers.0.q_proj", #"layers\.0\.q_proj"#, #"layers\.\d+\.q_proj"#,
    #"layers\.[0-9]{0}"#, "(q|v)_proj", "(?:q|v)_proj", "q|v_proj", ".*", ".+", "", "q_proj$", "q_proj?", "q_*proj",
    #".*layers\.[0-5]\..*_proj"#, #"[^.]+"#, #"\w+\.\w"#, "[a-c].b", "[]a]", #"a\.\.b"#, "(a|b|)*", "((q)+)+_proj",
    #"\D+_proj"#,
    "q.proj", "(.*)*x", "q_proj*?",
  ]

  @Test(.enabled(if: Python.runs("import re"), "needs python3")) func agreesWithPython() throws {
    func quoted(_ texts: [String]) -> String { texts.map { "r'\($0)'" }.joined(separator: ", ") }
    let script = """
      import re
      for key in [\(quoted(Self.patterns))]:
          print(" ".join(str(int(bool(re.match(rf"(.*\\.)?({key})$", name)))) for name in [\(quoted(Self.names))]))
      """
    let result = try #require(Python.run(["-c", script]))
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == Self.patterns.count, "\(result.talk)")
    for (pattern, line) in zip(Self.patterns, lines) where !pattern.contains("{") {
      let matcher = try ModulePattern(pattern)
      let ours = Self.names.map { matcher.matches($0) ? "1" : "0" }.joined(separator: " ")
      #expect(ours == line, "\(pattern)")
    }
  }

  @Test func matchesAnEndBehindADot() throws {
    let pattern = try ModulePattern("layers.0.q_proj")
    #expect(pattern.matches("model.layers.0.q_proj") && pattern.matches("layers.0.q_proj"))
    #expect(!pattern.matches("xlayers.0.q_proj") && !pattern.matches("model.layers.0.q_proj.x"))
    let expression = try ModulePattern(#"layers\.(0|1\d)\.[qv]_proj"#)
    #expect(expression.matches("model.layers.17.v_proj") && !expression.matches("model.layers.2.v_proj"))
  }

  @Test(arguments: ["a{2}", "(?=a)", #"(a)\1"#, #"\bq"#, #"[\W]"#]) func refusesWhatItDoesNotKnow(_ text: String) {
    #expect(code { _ = try ModulePattern(text) } == .unsupportedFeature)
  }

  @Test(arguments: ["(", ")", "a)", "[", "[a", "*", "a**", "\\", "[z-a]", "(?:", "a|*"])
  func refusesWhatIsNoExpression(_ text: String) { #expect(code { _ = try ModulePattern(text) } == .malformed) }

  @Test func isLinearOnHostilePatterns() throws {
    let hostile = try ModulePattern(String(repeating: "(a*)*", count: 100) + "b")
    #expect(!hostile.matches(String(repeating: "a", count: 1000)))
    #expect(code { _ = try ModulePattern(String(repeating: "(", count: 500)) } == .limitExceeded)
    #expect(code { _ = try ModulePattern(String(repeating: "a", count: 5000)) } == .limitExceeded)
  }
}
