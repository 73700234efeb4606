import TMPackModels
import Testing

@Suite struct ConfigurationTests {
  private func text(_ string: String) throws -> ConfigurationText {
    try #require(ConfigurationText(Array(string.utf8)))
  }

  private func string(_ text: ConfigurationText) -> String { String(decoding: text.bytes, as: UTF8.self) }

  @Test func aMemberIsChangedAndNothingElse() throws {
    var config = try text("{\n  \"a\" : 1e-05,\n  \"dtype\": \"bfloat16\",\n  \"limit\": [0.0, Infinity]\n}\n")
    config.set("dtype", to: "float32")
    #expect(string(config) == "{\n  \"a\" : 1e-05,\n  \"dtype\": \"float32\",\n  \"limit\": [0.0, Infinity]\n}\n")
  }

  @Test func aNewMemberComesLast() throws {
    var config = try text("{\n  \"a\": 1,\n  \"b\": {\"c\": \"}\\\"\"}\n}")
    config.set("d", to: false)
    config.set("e", in: ["b"], to: 2)
    #expect(string(config) == "{\n  \"a\": 1,\n  \"b\": {\"c\": \"}\\\"\",\"e\": 2},\n  \"d\": false\n}")
    #expect(config[["b", "e"]] == 2)
    var empty = try text("{}")
    empty.set("a", to: 1)
    #expect(string(empty) == "{\"a\": 1}")
  }

  @Test func aMemberIsTakenAway() throws {
    var config = try text("{\"a\": 1, \"b\": {\"x\": []}, \"c\": 3}")
    config.remove("b")
    #expect(string(config) == "{\"a\": 1, \"c\": 3}")
    config.remove("c")
    #expect(string(config) == "{\"a\": 1}")
    config.remove("a")
    #expect(string(config) == "{}")
    config.remove("a")
    #expect(string(config) == "{}")
  }

  @Test(arguments: ["", "[]", "1", "{", "{\"a\": \"", "{} x"]) func whatIsNoObjectIsNone(_ string: String) {
    #expect(ConfigurationText(Array(string.utf8)) == nil)
  }

  /// Whatever a file says, nothing is read beyond it.
  @Test func everyBeginningOfAConfigurationIsReadOrRefused() throws {
    let whole = Array("{\"a\": {\"b\": [1, \"\\\"\", {}]}, \"dtype\": \"x\"}".utf8)
    for count in 0..<whole.count {
      var config = ConfigurationText(Array(whole[..<count]) + [UInt8(ascii: "}")])
      config?.set("dtype", to: "y")
      config?.remove("a")
      _ = config?.objects
    }
  }

  @Test func theDTypeIsThatOfAllParts() {
    let config = """
      {"dtype": "bfloat16", "text_config": {"torch_dtype": "float16", "d": {"dtype": 3}}, "quantization_config": {"dtype": "x"}, "v": 1}
      """
    var changes = ConfigurationChanges(dtype: .f32)
    changes.isDequantized = true
    #expect(
      String(decoding: changes.applied(to: Array(config.utf8)), as: UTF8.self) == """
        {"dtype": "float32", "text_config": {"torch_dtype": "float32", "d": {"dtype": 3}}, "v": 1}
        """)
  }

  @Test func theVocabularyIsTheLanguageModels() {
    var changes = ConfigurationChanges()
    changes.vocabularySize = 70
    changes.tiesEmbeddings = false
    let config = #"{"text_config": {"vocab_size": 64}, "vision_config": {"vocab_size": 9}}"#
    #expect(
      String(decoding: changes.applied(to: Array(config.utf8)), as: UTF8.self)
        == #"{"text_config": {"vocab_size": 70}, "vision_config": {"vocab_size": 9}, "tie_word_embeddings": false}"#)
  }
}
