import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// A tokenizer as llama.cpp has it, from one of the library tokenizers.
struct Vocabulary {
  /// What llama.cpp does not do, so that it would cut texts into other tokens.
  struct Unsupported: Error {
    let reason: String
  }

  /// `llama_token_type`
  private enum TokenType: Int32 {
    case normal = 1
    case control = 3
    case userDefined = 4
    case unused = 5
    case byte = 6
  }

  private enum Model: String {
    case bytePairs = "gpt2"
    case sentencePieces = "llama"
    case wordPieces = "bert"
  }

  private(set) var entries: [TypedMetadata.Entry] = []
  private(set) var notes: [String] = []

  /// - Parameters:
  ///   - rows: of the embedding: as many tokens llama.cpp wants.
  ///   - configuration: `tokenizer_config.json`; `models` are `config.json` and its like.
  init(
    _ file: TokenizerFile, rows: Int, configuration: JSONObject, models: [JSONObject]
  ) throws(Unsupported) {
    let model = try Self.model(of: file)
    var texts = [String?](repeating: nil, count: rows)
    var types = [TokenType](repeating: .unused, count: rows)
    var ids: [String: Int] = [:]
    var beyond = 0
    for (id, text) in file.tokens.enumerated() {
      guard let text else { continue }
      guard id < rows else {
        beyond += 1
        continue
      }
      texts[id] = model == .wordPieces ? Self.phantom(text, file.continuingPrefix ?? "##") : text
      types[id] = model == .sentencePieces && Self.isByte(text) ? .byte : .normal
      ids[text] = id
    }
    for token in file.addedTokens {
      guard token.id < rows else {
        beyond += 1
        continue
      }
      texts[token.id] = token.text
      types[token.id] = token.isSpecial ? .control : .userDefined
      ids[token.text] = token.id
    }
    if beyond > 0 { notes.append("\(beyond) tokens have no row in the embedding, and are left out") }
    var taken = Set<ExactString>(minimumCapacity: rows)
    let tokens = texts.enumerated().map { $0.element ?? "[PAD\($0.offset)]" }
    for text in tokens where text.isEmpty || !taken.insert(ExactString(text)).inserted {
      throw Unsupported(reason: "has the token \"\(text)\" twice")
    }

    add("model", .string(model.rawValue))
    add("pre", .string(try Self.preTokenizer(of: file, model)))
    add("tokens", .array(.string(tokens)))
    add("token_type", .array(.int32(types.map(\.rawValue))))
    switch model {
    case .bytePairs: add("merges", .array(.string(file.merges.map { "\($0.left) \($0.right)" })))
    case .sentencePieces:
      add("scores", .array(.float32(Self.scores(of: file.merges, ids, rows))))
      add("add_space_prefix", .bool(Self.addsSpace(file)))
    case .wordPieces: addNormalizer(file.normalizer)
    }
    try addSpecialTokens(
      SpecialTokens(file, ids: ids, configuration: configuration, models: models), model, rows: rows)
  }

  private mutating func add(_ key: String, _ value: MetadataValue) {
    entries.append(.init(key: "tokenizer.ggml.\(key)", value: value))
  }

  // MARK: Kinds

  private static func model(of file: TokenizerFile) throws(Unsupported) -> Model {
    switch file.type {
    case "WordPiece": return .wordPieces
    case "BPE" where file.fallsBackToBytes: return .sentencePieces
    case "BPE": return .bytePairs
    default: throw Unsupported(reason: "is of type \(file.type.isEmpty ? "?" : file.type)")
    }
  }

  private static func preTokenizer(of file: TokenizerFile, _ model: Model) throws(Unsupported) -> String {
    let normalizers = PreTokenizer.steps(of: file.normalizer)
    switch model {
    case .bytePairs:
      // llama.cpp composes nothing; most texts are composed.
      if let step = normalizers.first(where: { $0.kind != "NFC" }) {
        throw Unsupported(reason: "normalises by \(step.kind)")
      }
      guard let name = PreTokenizer.name(of: file.preTokenizer, ignoresMerges: file.ignoresMerges) else {
        throw Unsupported(reason: "cuts texts in a way that llama.cpp has no name for")
      }
      return name
    case .sentencePieces:
      try checkPieces(file, normalizers)
      return "default"
    case .wordPieces:
      guard normalizers.allSatisfy({ $0.kind == "BertNormalizer" }),
        PreTokenizer.steps(of: file.preTokenizer).map(\.kind) == ["BertPreTokenizer"]
      else { throw Unsupported(reason: "cuts texts in another way than BERT") }
      return "default"
    }
  }

  // MARK: SentencePiece

  private static let space = "\u{2581}"

  private static func checkPieces(
    _ file: TokenizerFile, _ normalizers: [(kind: String, members: JSONObject)]
  ) throws(Unsupported) {
    var makesSpaces = false
    for step in normalizers {
      switch step.kind {
      case "Prepend": continue
      case "Replace" where step.members["content"]?.asText == space: makesSpaces = true
      default: throw Unsupported(reason: "normalises by \(step.kind)")
      }
    }
    for step in PreTokenizer.steps(of: file.preTokenizer) {
      switch step.kind {
      case "Metaspace": makesSpaces = true
      // Of Gemma, whose spaces have become others before.
      case "Split" where step.members["pattern"]?.asObject?["String"]?.asText == " ": continue
      default: throw Unsupported(reason: "cuts texts by \(step.kind)")
      }
    }
    guard makesSpaces else { throw Unsupported(reason: "keeps spaces as they are") }
    let known = Set(file.tokens.compactMap { $0 })
    guard (0..<256).allSatisfy({ known.contains(byteToken(UInt8($0))) }) else {
      throw Unsupported(reason: "has no tokens for single bytes")
    }
  }

  private static func byteToken(_ byte: UInt8) -> String {
    let digits = Array("0123456789ABCDEF")
    return "<0x\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])>"
  }

  private static func isByte(_ text: String) -> Bool {
    guard text.utf8.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">"),
      let byte = UInt8(text.dropFirst(3).dropLast(), radix: 16)
    else { return false }
    return text == byteToken(byte)
  }

  private static func addsSpace(_ file: TokenizerFile) -> Bool {
    if PreTokenizer.steps(of: file.normalizer).contains(where: { $0.kind == "Prepend" }) { return true }
    return PreTokenizer.steps(of: file.preTokenizer).contains { step in
      guard step.kind == "Metaspace" else { return false }
      return step.members["prepend_scheme"].map { $0 != "never" } ?? (step.members["add_prefix_space"] != false)
    }
  }

  /// llama.cpp joins the pair whose token has the highest score, so the token of an earlier merge has a higher one. Its own
  /// converter gives all of them the same.
  private static func scores(
    of merges: [(left: String, right: String)], _ ids: [String: Int], _ rows: Int
  ) -> [Float] {
    var scores = [Float](repeating: -1e6, count: rows)
    for (rank, merge) in merges.enumerated().reversed() {
      if let id = ids[merge.left + merge.right] { scores[id] = -Float(rank) }
    }
    return scores
  }

  // MARK: WordPiece

  /// Beginnings of words have the mark, where WordPiece marks what continues them.
  private static func phantom(_ text: String, _ prefix: String) -> String {
    text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : space + text
  }

  private mutating func addNormalizer(_ value: JSONValue) {
    guard let step = PreTokenizer.steps(of: value).first else { return }
    let isLower = step.members["lowercase"]?.isTrue ?? true
    add("normalizer.lowercase", .bool(isLower))
    if case .bool(let strips)? = step.members["strip_accents"] { add("normalizer.strip_accents", .bool(strips)) }
  }

  // MARK: Special tokens

  private mutating func addSpecialTokens(
    _ tokens: SpecialTokens, _ model: Model, rows: Int
  ) throws(Unsupported) {
    guard tokens.before.count <= 1, tokens.after.count <= 1 else {
      throw Unsupported(reason: "puts several tokens around a text")
    }
    var ids = tokens.ids.filter { $0.value < rows }
    if model == .wordPieces {
      ids["bos"] = tokens.before.first ?? ids["cls"]
      ids["eos"] = tokens.after.first ?? ids["sep"]
      ids["sep"] = ids["eos"]
    }
    if let first = tokens.before.first {
      if let bos = ids["bos"], bos != first {
        notes.append("bos_token_id is the token that texts begin with, \(first)")
      }
      ids["bos"] = first
    }
    if let last = tokens.after.first, ids["eos"] == nil { ids["eos"] = last }
    if let last = tokens.after.first, ids["eos"] != last {
      throw Unsupported(reason: "ends texts with another token than the one that ends what is said")
    }
    let keys = [
      ("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding"), ("cls", "cls"),
      ("mask", "mask"),
    ]
    for (part, key) in keys {
      if let id = ids[part] { add("\(key)_token_id", .uint32(UInt32(id))) }
    }
    add("add_bos_token", .bool(!tokens.before.isEmpty))
    if model == .wordPieces {
      add("add_sep_token", .bool(!tokens.after.isEmpty))
    } else {
      add("add_eos_token", .bool(!tokens.after.isEmpty))
    }
  }
}
