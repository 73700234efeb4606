import TMPackByteIO
import TMPackJSON
import TMPackYAML
import Testing

/// A node as JSON: scalars are strings.
private func json(_ node: YAMLNode) -> JSONValue {
  switch node.content {
  case .null: .null
  case .scalar(let text): .string(text)
  case .sequence(let nodes): .array(nodes.map(json))
  case .mapping(let members): .object(JSONObject(members.map { ($0.key, json($0.value)) }))
  }
}

private func parse(_ text: String) throws -> JSONValue { json(try YAMLNode(parsing: Array(text.utf8))) }

@Suite struct YAMLTests {
  @Test(arguments: [
    ("a: 1", #"{"a":"1"}"#),
    ("---\na: 1\n...\n", #"{"a":"1"}"#),
    ("a:\n  b: x y  # comment\n  c: 'it''s'\nd:", #"{"a":{"b":"x y","c":"it's"},"d":null}"#),
    ("- 1\n- - 2\n  - 3\n-\n- a: b\n  c: d\n", #"["1",["2","3"],null,{"a":"b","c":"d"}]"#),
    (
      "models:\n- model: x\n  p:\n    w: [0, .5,\n      1]\n- model: y",
      #"{"models":[{"model":"x","p":{"w":["0",".5","1"]}},{"model":"y"}]}"#
    ),
    ("a: {b: 1, \"c\": [~, null], d: }", #"{"a":{"b":"1","c":[null,null],"d":null}}"#),
    (#"a: "q\n\u00e9\"" "#, #"{"a":"q\né\""}"#),
    ("u: http://x/y#z", #"{"u":"http://x/y#z"}"#),
    ("a: b:c\n? : 1", "fault"),
    ("\"a b\" : 1\n'c': \"\"", #"{"a b":"1","c":""}"#),
    (#"{"a": [1, {"b": "x"}], "c": true}"#, #"{"a":["1",{"b":"x"}],"c":"true"}"#),
    ("", "null"), ("# only\n", "null"), ("a:\r\n  - b\r\n", #"{"a":["b"]}"#), ("plain", #""plain""#),
    ("a:\n\n\n  # c\n  - b", #"{"a":["b"]}"#), ("a: -1\nb: - x", "fault"), ("a: x # y", #"{"a":"x"}"#),
  ])
  func reads(_ text: String, _ expected: String) throws {
    guard expected != "fault" else {
      #expect(throws: StorageError(.malformed, "")) { try parse(text) }
      return
    }
    #expect(try parse(text) == JSONValue(parsing: Array(expected.utf8)), "\(text)")
  }

  @Test(arguments: [
    ("a: 1\na: 2", "line 2"), ("a: {b: 1, b: 2}", "line 1"), ("a: &x 1", "anchors"), ("a: *x", "anchors"),
    ("a: !t 1", "tags"), ("a: |\n  x", "block scalars"), ("a: b\n  c", "several lines"), ("a: b: c", "line 1"),
    ("\ta: 1", "tab"), ("a: [1, 2", "closed"), ("a: 'x", "closed"), ("a: 1\n  b: 2", "several lines"),
    ("%YAML 1.2\n---\na: 1", "directives"),
    ("a: 1\n---\nb: 2", "documents"), ("a:\n    b: 1\n  c: 2", "line 3"), ("- 1\nb: 2", "line 2"),
    ("a: \"\\q\"", "escape"),
    ("a: 1\n- b", "line 2"), ("a: [1 2] 3", "follows"), ("- a\n b", "line 2"), ("a: @x", "quoted"),
    ("key\nb: 1", "line 2"),
  ])
  func namesTheLineOf(_ text: String, _ message: String) throws {
    do {
      _ = try parse(text)
      Issue.record("\(text) was read")
    } catch let error as StorageError {
      #expect(error.code == .malformed && error.message.contains(message), "\(error)")
    }
  }

  @Test func boundsDepthAndSize() {
    let deep = String(repeating: "[", count: 5000)
    #expect(throws: StorageError(.limitExceeded, "")) { try parse(deep) }
    let blocks = (0..<200).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    #expect(throws: StorageError(.limitExceeded, "")) { try parse(blocks) }
    #expect(throws: StorageError(.limitExceeded, "")) { try parse(String(repeating: "#", count: Limits.yamlBytes + 1)) }
    for (text, offset) in [([0x61, 0xFF], 1), ([0xC3, 0xA9, 0x0A, 0xC3], 3), ([0xC0, 0x80], 0)] as [([UInt8], UInt64)] {
      #expect { try YAMLNode(parsing: text) } throws: { ($0 as? StorageError)?.offset == offset }
    }
  }

  /// Every cut and every changed byte of a recipe is read or refused, nothing else.
  @Test func survivesDamage() throws {
    let text = Array("base: x\nmodels:\n  - m: {a: [1, 'b'], \"c\": ~}\n    p:\n    - 2 # n\n  - m: y\n".utf8)
    for end in text.indices { _ = try? YAMLNode(parsing: Array(text[..<end])) }
    for index in text.indices {
      for byte in Array(" \t\n\r:-[]{},#'\"&*!|>%@?a\\".utf8) + [0, 0xC3] {
        var damaged = text
        damaged[index] = byte
        _ = try? YAMLNode(parsing: damaged)
      }
    }
  }
}
