import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

@Suite struct JSONTests {
  static func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

  static let valid: [(text: String, value: JSONValue)] = [
    ("null", .null), (" true ", true), ("false\n", false), ("0", 0), ("-1", -1),
    ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
    ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("-0", .number(-0.0)),
    ("1.5", 1.5), ("1e2", .number(100)), ("1E+2", .number(100)), ("25e-2", .number(0.25)), ("0.0", .number(0)),
    (#""""#, ""), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""é""#, "é"), (#""\u00e9""#, "é"),
    (#""\ud83d\ude00""#, "😀"), (#""\u0000""#, "\0"), ("\"\u{7F}\"", "\u{7F}"),
    ("[]", []), ("{}", [:]), ("[1, [2], {\"a\": 3}]", [1, [2], ["a": 3]]),
    ("{\"b\":1,\t\"a\":2}", ["b": 1, "a": 2]),
  ]

  @Test(arguments: valid.indices) func reads(_ index: Int) throws {
    let (text, value) = Self.valid[index]
    #expect(try Self.parse(text) == value)
  }

  @Test(arguments: [
    "", " ", "nul", "tru", "True", "NaN", "Infinity", "01", "-", "-01", "+1", "1.", ".5", "1e", "1e+", "1e999", "0x1",
    "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\n\"", "\"\\ud800\"", "\"\\ud800x\"",
    "\"\\ud800\\n\"", "\"\\ud800\\ud800\"", "\"\\udc00\"", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "{\"a\"",
    "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "1 2", "[]]", "{}x", "// c\n1",
    "\u{FEFF}1", "'a'", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":1}",
  ])
  func refuses(_ text: String) {
    #expect(code { _ = try Self.parse(text) } == .malformed)
  }

  @Test(arguments: [
    [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC3, 0x22],
  ])
  func refusesInvalidUTF8(_ bytes: [UInt8]) {
    #expect(code { _ = try JSONValue(parsing: bytes) } == .malformed)
    let escaped = bytes.dropLast() + Array(#"\n""#.utf8)
    #expect(code { _ = try JSONValue(parsing: Array(escaped)) } == .malformed)
  }

  @Test func refusesNestingBeyondTheLimit() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try Self.parse(nested(Limits.jsonDepth))
    #expect(code { _ = try Self.parse(nested(Limits.jsonDepth + 1)) } == .limitExceeded)
    #expect(code { _ = try Self.parse(String(repeating: "[", count: 1_000_000)) } == .limitExceeded)
  }

  @Test func keepsNamesApartThatDifferOnlyInNormalisation() throws {
    let object = try Self.parse("{\"\u{E9}\":1,\"e\u{301}\":2}").asObject("it")
    #expect(object["\u{E9}"] == 1)
    #expect(object["e\u{301}"] == 2)
  }

  @Test func namesTheByteAtFault() throws {
    let error = failure {
      _ = try Self.parse("{\"a\":1, \"a\":2}")
    }
    #expect(error?.offset == 8)
  }

  @Test func writesCanonically() throws {
    // RFC 8785, section 3.2.3: sorted by UTF-16 units, which puts the emoji (D83D…) before U+FB33.
    let value: JSONValue = [
      "\u{20AC}": "Euro", "\r": "Return", "\u{FB33}": "Dalet", "1": "One", "\u{1F600}": "Smile", "\u{80}": "Control",
      "\u{F6}": "o",
    ]
    let expected =
      "{\"\\r\":\"Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{F6}\":\"o\",\"\u{20AC}\":\"Euro\","
      + "\"\u{1F600}\":\"Smile\",\"\u{FB33}\":\"Dalet\"}"
    #expect(String(decoding: value.canonicalText, as: UTF8.self) == expected)
    let controls = JSONValue.string("\u{0}\u{1F}\u{7F}\"\\/")
    #expect(String(decoding: controls.canonicalText, as: UTF8.self) == "\"\\u0000\\u001f\u{7F}\\\"\\\\/\"")
  }

  @Test func canonicalTextIsAFixedPoint() throws {
    let text = try Self.parse(#" {"b": [1, true, null, {}], "a": {"z": "\u0041", "y": []}} "#).canonicalText
    #expect(String(decoding: text, as: UTF8.self) == #"{"a":{"y":[],"z":"A"},"b":[1,true,null,{}]}"#)
    #expect(try JSONValue(parsing: text).canonicalText == text)
  }

  @Test func writesPrettyText() {
    let value: JSONValue = ["a": [1, 2], "b": [:], "c": []]
    #expect(value.prettyText == "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}")
    #expect(value.compactText == #"{"a":[1,2],"b":{},"c":[]}"#)
  }

  @Test func survivesRandomMutations() throws {
    let original = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00"],"b":{"c":null,"d":true},"é":""}"#.utf8)
    var random = SeededGenerator(seed: 1)
    for _ in 0..<20_000 {
      var text = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        text[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      guard let value = try? JSONValue(parsing: text) else { continue }
      #expect(try JSONValue(parsing: Array(value.compactText.utf8)) == value)
    }
  }

  @Test func objectsEditInPlace() {
    var object = JSONObject()
    for (index, name) in ["a", "b", "c"].enumerated() { object[name] = JSONValue(index) }
    object["b"] = nil
    object["c"] = 7
    #expect(object.names == ["a", "c"])
    #expect(object["c"] == 7)
    #expect(object["b"] == nil)
  }
}
