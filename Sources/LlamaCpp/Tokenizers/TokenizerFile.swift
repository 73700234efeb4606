import TMPackByteIO
import TMPackJSON

/// `tokenizer.json` of the library tokenizers, as far as llama.cpp needs it.
struct TokenizerFile {
  static let fileName = "tokenizer.json"

  struct AddedToken {
    let id: Int
    let text: String
    let isSpecial: Bool
  }

  /// `BPE`, `WordPiece`, `Unigram`, `WordLevel`.
  private(set) var type = ""
  /// By id; nil where an id has none.
  private(set) var tokens: [String?] = []
  /// Pairs that are joined, the first first.
  private(set) var merges: [(left: String, right: String)] = []
  private(set) var addedTokens: [AddedToken] = []
  private(set) var fallsBackToBytes = false
  private(set) var ignoresMerges = false
  private(set) var unknownToken: String?
  private(set) var continuingPrefix: String?
  private(set) var normalizer: JSONValue = .null
  private(set) var preTokenizer: JSONValue = .null
  private(set) var postProcessor: JSONValue = .null

  /// Vocabulary and merges are read one by one: as values of JSON they would take a hundred times their bytes.
  ///
  /// - Throws: `malformed`, `limitExceeded`.
  init(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    var reader = JSONReader(text, maximumDepth: Limits.tokenizerDepth)
    var left = Limits.tokenizerValues
    try reader.beginObject("a tokenizer")
    while let name = try reader.nextMember() {
      switch name.text {
      case "model": try readModel(&reader, &left)
      case "added_tokens": try readAddedTokens(&reader, &left)
      case "normalizer": normalizer = try JSONValue(reading: &reader, &left)
      case "pre_tokenizer": preTokenizer = try JSONValue(reading: &reader, &left)
      case "post_processor": postProcessor = try JSONValue(reading: &reader, &left)
      default: try reader.skipValue()
      }
    }
    try reader.end()
    // Files of before 2022 do not say.
    if type.isEmpty { type = merges.isEmpty ? "" : "BPE" }
  }

  private mutating func readModel(_ reader: inout JSONReader, _ left: inout Int) throws(StorageError) {
    try reader.beginObject("the model of a tokenizer")
    while let name = try reader.nextMember() {
      switch name.text {
      case "vocab" where try reader.kind() == .object: try readVocabulary(&reader)
      case "merges": try readMerges(&reader)
      case "type": type = try reader.string("the type of a tokenizer").text
      case "byte_fallback": fallsBackToBytes = try JSONValue(reading: &reader, &left).isTrue
      case "ignore_merges": ignoresMerges = try JSONValue(reading: &reader, &left).isTrue
      case "unk_token": unknownToken = try JSONValue(reading: &reader, &left).asText
      case "continuing_subword_prefix": continuingPrefix = try JSONValue(reading: &reader, &left).asText
      default: try reader.skipValue()
      }
    }
  }

  private mutating func readVocabulary(_ reader: inout JSONReader) throws(StorageError) {
    try reader.beginObject("a vocabulary")
    while let name = try reader.nextMember() {
      try set(try reader.count("the id of a token"), name.text)
    }
  }

  private mutating func set(_ id: Int, _ text: String) throws(StorageError) {
    try Limits.check(id, atMost: Limits.tokens - 1, "the id of a token")
    if id >= tokens.count { tokens += [String?](repeating: nil, count: id + 1 - tokens.count) }
    if let other = tokens[id], !other.hasSameBytes(as: text) {
      throw StorageError(.malformed, "the tokens \"\(other)\" and \"\(text)\" have one id, \(id)")
    }
    tokens[id] = text
  }

  /// Each is `"a b"` or `["a", "b"]`.
  private mutating func readMerges(_ reader: inout JSONReader) throws(StorageError) {
    try reader.beginArray("the merges of a tokenizer")
    while try reader.nextElement() {
      try Limits.check(merges.count + 1, atMost: Limits.tokens, "the number of merges")
      if try reader.kind() == .array {
        var pair: [String] = []
        try reader.beginArray()
        while try reader.nextElement() {
          let part = try reader.string("a part of a merge").text
          if pair.count < 3 { pair.append(part) }
        }
        guard pair.count == 2 else { throw StorageError(.malformed, "a merge is no pair", offset: reader.offset) }
        merges.append((pair[0], pair[1]))
      } else {
        let text = try reader.string("a merge").text
        guard let space = text.utf8.dropFirst().firstIndex(of: UInt8(ascii: " ")) else {
          throw StorageError(.malformed, "a merge is no pair", offset: reader.offset)
        }
        merges.append((String(text[..<space]), String(text[text.utf8.index(after: space)...])))
      }
    }
  }

  private mutating func readAddedTokens(_ reader: inout JSONReader, _ left: inout Int) throws(StorageError) {
    try reader.beginArray("added_tokens")
    while try reader.nextElement() {
      let token = try JSONValue(reading: &reader, &left).asObject("an added token")
      let id = try token.required("id", of: "an added token").asCount("the id of a token")
      try Limits.check(id, atMost: Limits.tokens - 1, "the id of a token")
      let text = try token.required("content", of: "an added token").asString("the text of a token")
      addedTokens.append(AddedToken(id: id, text: text, isSpecial: token["special"]?.isTrue ?? false))
    }
  }
}

extension Limits {
  /// The largest vocabularies have some 300,000 tokens, and twice as many merges.
  package static let tokens = 1 << 22
  package static let tokenizerDepth = 32
  /// But for vocabulary and merges.
  package static let tokenizerValues = 1 << 20
}
