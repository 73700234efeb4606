import TMPackJSON

/// How a text is cut before pairs are joined, by the names that llama.cpp has for it.
enum PreTokenizer {
  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let rest = #" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let word = #"[^\r\n\p{L}\p{N}]?\p{L}+"#
  private static let capitals = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
  private static let smalls = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
  private static let restWithSlash = #" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static func cased(_ ending: String, digits: String) -> String {
    let start = #"[^\r\n\p{L}\p{N}]?"#
    return "\(start)\(capitals)*\(smalls)+\(ending)|\(start)\(capitals)+\(smalls)*\(ending)|\(digits)|\(restWithSlash)"
  }

  /// What stands as the regular expression of a `Split` in tokenizer.json, and the names without and with `ignore_merges`.
  private static let splits: [(pattern: String, name: String?, ignoringMerges: String?)] = [
    ("\(contractions)|\(word)|\\p{N}{1,3}|\(rest)", "dbrx", "llama-bpe"),
    ("\(contractions)|\(word)|\\p{N}|\(rest)", "qwen2", nil),
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      "qwen35", nil
    ),
    (cased("", digits: #"\p{N}"#), nil, "tekken"),
    (cased("\(contractions)?", digits: #"\p{N}{1,3}"#), "gpt-4o", nil),
    (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, "gpt-2", nil),
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      "seed-coder", nil
    ),
  ]

  /// The name for a tokenizer on bytes; nil for one that llama.cpp has no name for.
  static func name(of value: JSONValue, ignoresMerges: Bool) -> String? {
    var steps = steps(of: value)
    guard let last = steps.popLast(), last.kind == "ByteLevel", last.members["add_prefix_space"]?.isTrue != true else {
      return nil
    }
    let usesPattern = last.members["use_regex"] != .bool(false)
    if steps.isEmpty { return usesPattern && !ignoresMerges ? "gpt-2" : nil }
    guard steps.count == 1 else { return nil }
    let step = steps[0]
    switch step.kind {
    case "Digits" where usesPattern && !ignoresMerges:
      return step.members["individual_digits"]?.isTrue == true ? "smollm" : nil
    case "Split" where !usesPattern:
      guard step.members["behavior"]?.asText?.lowercased() == "isolated", step.members["invert"]?.isTrue != true,
        let pattern = step.members["pattern"]?.asObject?["Regex"]?.asText
      else { return nil }
      let plain = spelled(pattern)
      let split = splits.first { $0.pattern == plain }
      return ignoresMerges ? split?.ignoringMerges : split?.name
    default: return nil
    }
  }

  /// What a pre-tokenizer is made of.
  static func steps(of value: JSONValue) -> [(kind: String, members: JSONObject)] {
    guard let members = value.asObject, let kind = members["type"]?.asText else { return [] }
    guard kind == "Sequence" else { return [(kind, members)] }
    for name in ["pretokenizers", "normalizers", "processors"] {
      if case .array(let parts)? = members[name] { return parts.flatMap { steps(of: $0) } }
    }
    return []
  }

  /// A pattern with its line ends as escapes.
  private static func spelled(_ pattern: String) -> String {
    var text = ""
    for scalar in pattern.unicodeScalars {
      switch scalar {
      case "\r": text += #"\r"#
      case "\n": text += #"\n"#
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
