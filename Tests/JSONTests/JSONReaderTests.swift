import TMPackByteIO
import TMPackJSON
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

  /// The value with integers from 0 to 2⁵³ − 1 only, as canonical texts have them.
  private static func canonical(_ value: JSONValue) -> JSONValue {
    switch value {
    case .integer(let integer): .integer(integer & (1 << 53 - 1))
    case .number: 0
    case .array(let elements): .array(elements.map(canonical))
    case .object(let object): .object(JSONObject(object.members.map { ($0.name, canonical($0.value)) }))
    case .null, .bool, .string: value
    }
  }

  /// Canonical is what the writer writes of a value, and nothing else.
  @Test func knowsCanonicalTexts() {
    var random = SeededGenerator(seed: 14)
    var (sound, faulty) = (0, 0)
    for round in 0..<8_000 {
      let value = Self.canonical(Self.value(depth: 4, using: &random))
      var text = value.canonicalText
      if round % 4 == 1 { text = Array(Self.text(of: value, using: &random).utf8) }
      if round % 4 > 1 { text = text.mutated(using: &random) }
      let read = try? JSONValue(parsing: text)
      let isCanonical = read.map { $0 == Self.canonical($0) && $0.canonicalText == text } ?? false
      let error = failure {
        try text.withBytes { raw throws(StorageError) in
          var reader = JSONReader(raw)
          try reader.checkCanonical()
        }
      }
      #expect((error == nil) == isCanonical, "\(String(decoding: text, as: UTF8.self)): \(String(describing: error))")
      if isCanonical { sound += 1 } else { faulty += 1 }
    }
    #expect(sound > 2_000 && faulty > 2_000)
  }

  @Test(arguments: [
    #"{"\r":0,"1":0,"\u0080":0}"#, #"["\u001f\u0000\u000b\b\t\n\f\r\"\\"]"#,
    #"{"a":{"z":[],"zz":{}},"b":9007199254740991}"#,
    "{\"\u{1F600}\":0,\"\u{E000}\":0,\"\u{FB33}\":0}", "{\"\u{D7FF}\":0,\"\u{10FFFF}\":0}",
  ])
  func readsCanonicalTexts(_ text: String) throws {
    let text = text.replacing("\\u0080", with: "\u{80}")
    try Array(text.utf8).withUnsafeBytes { raw in
      var reader = JSONReader(raw)
      try reader.checkCanonical()
    }
  }

  @Test(arguments: [
    #"{"b":0,"a":0}"#, #"{"a":0,"a":0}"#, "[1, 2]", " []", "[]\n", #"["\u001F"]"#, #"["\u0008"]"#, #"["\u000a"]"#,
    #"["\/"]"#,
    #"["\u0020"]"#, #"["\u00e9"]"#, "[-1]", "[1.0]", "[1e2]", "[-0]", "[9007199254740992]", "[99999999999999999999]",
    "{\"\u{E000}\":0,\"\u{1F600}\":0}",
  ])
  func refusesTextsThatAreNotCanonical(_ text: String) {
    let code = code {
      try Array(text.utf8).withBytes { raw throws(StorageError) in
        var reader = JSONReader(raw)
        try reader.checkCanonical()
      }
    }
    #expect(code == .malformed)
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
