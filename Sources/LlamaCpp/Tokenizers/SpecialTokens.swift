import TMPackJSON

/// Tokens with a meaning, and which of them stand around every text.
struct SpecialTokens {
  /// By the part that it plays: `bos`, `eos`, `unk`, `sep`, `pad`, `cls`, `mask`.
  private(set) var ids: [String: Int] = [:]
  private(set) var before: [Int] = []
  private(set) var after: [Int] = []

  private static let parts = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]

  /// - Parameters:
  ///   - configuration: `tokenizer_config.json`.
  ///   - model: `config.json`, which knows the ids where that does not.
  init(
    _ file: TokenizerFile, ids tokens: [String: Int], configuration: JSONObject, models: [JSONObject]
  ) {
    for part in Self.parts {
      let value = configuration["\(part)_token"]
      if let text = value?.asText ?? value?.asObject?["content"]?.asText, let id = tokens[text] {
        ids[part] = id
      } else if let id = models.lazy.compactMap({ Self.id($0["\(part)_token_id"]) }).first {
        ids[part] = id
      }
    }
    if let text = file.unknownToken, let id = tokens[text] { ids["unk"] = id }
    readTemplate(file.postProcessor, tokens)
    if configuration["add_bos_token"] == .bool(false) { before = [] }
    if configuration["add_eos_token"] == .bool(false), ids["sep"] == nil { after = [] }
    if configuration["add_bos_token"]?.isTrue == true, before.isEmpty, let bos = ids["bos"] { before = [bos] }
    if configuration["add_eos_token"]?.isTrue == true, after.isEmpty, let eos = ids["eos"] { after = [eos] }
  }

  /// One id, or the first of several.
  private static func id(_ value: JSONValue?) -> Int? {
    switch value {
    case .integer(let id)? where id >= 0: Int(id)
    case .array(let ids)?: ids.first.flatMap { id($0) }
    default: nil
    }
  }

  private mutating func readTemplate(_ value: JSONValue, _ tokens: [String: Int]) {
    for step in PreTokenizer.steps(of: value) {
      switch step.kind {
      case "TemplateProcessing":
        guard case .array(let pieces)? = step.members["single"] else { continue }
        var isBehind = false
        for piece in pieces {
          if piece.asObject?["Sequence"] != nil { isBehind = true }
          guard let text = piece.asObject?["SpecialToken"]?.asObject?["id"]?.asText, let id = tokens[text] else {
            continue
          }
          if isBehind { after.append(id) } else { before.append(id) }
        }
      case "BertProcessing", "RobertaProcessing":
        for (name, isBehind) in [("cls", false), ("sep", true)] {
          guard case .array(let pair)? = step.members[name], pair.count == 2, let id = Self.id(pair[1]) else {
            continue
          }
          if isBehind { after.append(id) } else { before.append(id) }
        }
      default: continue
      }
    }
  }
}
