import ByteIO
import TestSupport
import Testing

/// `JSONReader` against the plain parser, on texts that are made at random.
@Suite struct JSONReaderTests {
  /// The value, or the code and the byte of the error.
  private enum Outcome: Equatable {
    case value(JSONValue)
    case error(StorageError.Code, UInt64?)

    init(of parse: () throws(StorageError) -> JSONValue) {
      do throws(StorageError) { self = .value(try parse()) } catch { self = .error(error.code, error.offset) }
    }
  }

  private static func outcomes(_ text: [UInt8]) -> (reference: Outcome, tree: Outcome) {
    text.withUnsafeBytes { raw in
      (
        Outcome { () throws(StorageError) in
          var parser = ReferenceJSONParser(raw)
          return try parser.document()
        }, Outcome { () throws(StorageError) in try JSONValue(parsing: raw) }
      )
    }
  }

  private static func text(of value: JSONValue, using random: inout SeededGenerator) -> String {
    func space() -> String { ["", "", "", " ", "\n\t", "\r  "].randomElement(using: &random)! }
    switch value {
    case .array(let elements):
      let parts = elements.map { space() + text(of: $0, using: &random) + space() }
      return "[" + (parts.isEmpty ? space() : parts.joined(separator: ",")) + "]"
    case .object(let object):
      let parts = object.members.map {
        space() + string($0.name, using: &random) + space() + ":" + space() + text(of: $0.value, using: &random)
          + space()
      }
      return "{" + (parts.isEmpty ? space() : parts.joined(separator: ",")) + "}"
    case .string(let characters): return string(characters, using: &random)
    default: return value.compactText
    }
  }

  /// Some characters as escapes that need not be.
  private static func string(_ characters: String, using random: inout SeededGenerator) -> String {
    var text = "\""
    for unit in characters.unicodeScalars {
      if Int.random(in: 0..<5, using: &random) == 0 {
        for code in UTF16.encode(unit)! {
          let digits = String(code, radix: 16, uppercase: Bool.random(using: &random))
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
      } else {
        text += JSONValue.string(String(unit)).compactText.dropFirst().dropLast()
      }
    }
    return text + "\""
  }

  private static func value(depth: Int, using random: inout SeededGenerator) -> JSONValue {
    func characters() -> String {
      let alphabet: [Unicode.Scalar] = [
        "a", "b", "\"", "\\", "/", "\n", "\u{0}", "\u{7F}", "é", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}",
        "\u{FFFD}",
        "😀", "\u{10FFFF}",
      ]
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0...20, using: &random) { text.append(alphabet.randomElement(using: &random)!) }
      return String(text)
    }
    switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &random) {
    case 0: return .null
    case 1: return .bool(.random(using: &random))
    case 2: return .integer([.min, -1, 0, 1, .max].randomElement(using: &random)!)
    case 3: return .integer(Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random))
    case 4: return .number([-0.0, 0.5, 1e300, -2.5e-10, 9_223_372_036_854_775_808].randomElement(using: &random)!)
    case 5, 6: return .string(characters())
    case 7:
      return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(depth: depth - 1, using: &random) })
    default:
      return .object(
        JSONObject(
          (0..<Int.random(in: 0...12, using: &random)).map { _ in
            (characters(), value(depth: depth - 1, using: &random))
          }))
    }
  }

  @Test func readsWhatThePlainParserReads() {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<5_000 {
      let value = Self.value(depth: 4, using: &random)
      let (reference, tree) = Self.outcomes(Array(Self.text(of: value, using: &random).utf8))
      #expect(reference == .value(value))
      #expect(tree == .value(value))
    }
  }

  /// The same value or the same fault at the same byte. (Where bytes are no UTF-8 *and* something else is wrong with the
  /// string, either may be named.)
  @Test func refusesWhatThePlainParserRefuses() {
    var random = SeededGenerator(seed: 12)
    var refused = 0
    for _ in 0..<20_000 {
      let text = Array(Self.text(of: Self.value(depth: 3, using: &random), using: &random).utf8)
        .mutated(using: &random)
      let (reference, tree) = Self.outcomes(text)
      if case .error(let code, let offset) = reference {
        refused += 1
        guard case .error(let treeCode, let treeOffset) = tree else {
          Issue.record("\(text) was read")
          continue
        }
        #expect(treeCode == code)
        if String(validating: text, as: UTF8.self) != nil { #expect(treeOffset == offset, "\(text)") }
      } else {
        #expect(tree == reference)
      }
    }
    #expect(refused > 5_000)
  }

  /// A value that is passed by is refused when it is no JSON; only names that are there twice pass.
  @Test func passesByWhatItWouldRead() {
    var random = SeededGenerator(seed: 13)
    for _ in 0..<10_000 {
      let text = Array(Self.text(of: Self.value(depth: 3, using: &random), using: &random).utf8)
        .mutated(using: &random)
      text.withUnsafeBytes { raw in
        let skipped = failure {
          var reader = JSONReader(raw)
          try reader.skipValue()
          try reader.end()
        }
        let read = failure { _ = try JSONValue(parsing: raw) }
        let mayPass = read.map { $0.message.contains("duplicate") || $0.message.contains("out of range") } ?? true
        if mayPass { return }
        #expect(skipped?.code == read?.code)
      }
    }
  }

  @Test(arguments: [
    [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
    [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0x80],
    [0xBF], [0xFE], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xC3, 0x41], [0xE2, 0x82, 0x41],
    [0xF0, 0x9F, 0x98, 0x41],
  ])
  func refusesIllFormedUTF8(_ sequence: [UInt8]) {
    for padding in 0..<9 {
      let text = Array("\"".utf8) + [UInt8](repeating: 0x61, count: padding) + sequence + Array("\"".utf8)
      let error = failure { _ = try JSONValue(parsing: text) }
      #expect(error?.code == .malformed)
      #expect(error?.message.contains("UTF-8") == true)
    }
  }

  /// At every place in the words of eight bytes that are looked at together.
  @Test func findsTheEndOfStringsOfEveryLength() throws {
    for count in 0..<40 {
      for (text, value) in [("", ""), ("\\n", "\n"), ("é", "é"), ("\\\"", "\""), ("\u{7F}~ !", "\u{7F}~ !")] {
        let padding = String(repeating: "#", count: count)
        let parsed = try JSONValue(parsing: Array("[\"\(padding)\(text)\(padding)\",0]".utf8))
        #expect(parsed == [.string(padding + value + padding), 0])
      }
      let control = Array("\"".utf8) + [UInt8](repeating: 0x7A, count: count) + [0x1F] + Array("zzzzzzzzzz\"".utf8)
      #expect(failure { _ = try JSONValue(parsing: control) }?.offset == UInt64(count + 1))
    }
  }

  @Test func namesAreUniqueByTheirDecodedBytes() throws {
    var text = "{"
    for number in 0..<1000 { text += "\"n\(number)\":0,\"\\u006d\(number)\":0," }
    text += "\"\\u006e999\":0,\"m7\":0,\"\u{E9}\":0,\"e\u{301}\":0,\"\\u00e9\":0}"
    let bytes = Array(text.utf8)
    try bytes.withUnsafeBytes { raw in
      var reader = JSONReader(raw)
      var names = JSONNames(in: raw)
      var repeated: [String] = []
      try reader.beginObject()
      while let name = try reader.nextMember() {
        if !names.insert(name) { repeated.append(name.text) }
        try reader.skipValue()
      }
      #expect(repeated == ["n999", "m7", "\u{E9}"])
      #expect(names.count == 2002)
      #expect(names[3].text == "m1")
    }
  }

  @Test func boundsTheValuesOfATree() {
    let text = Array(("[" + String(repeating: "0,", count: Limits.jsonValues) + "0]").utf8)
    let error = failure { _ = try JSONValue(parsing: text) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.offset == UInt64(2 * Limits.jsonValues - 1))
  }
}
