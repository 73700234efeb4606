/// Where a tensor of transformers goes, and how.
struct TensorRule: Sendable {
  let source: NameTemplate
  let target: NameTemplate
  let change: TensorChange
  /// Whether a model may be without the target.
  let isOptional: Bool

  /// A table of rules: the tensor's name, the one in GGUF, with `?` behind it where it may be missing, and what changes.
  static func table(_ text: String) -> [TensorRule] {
    text.split(separator: "\n").map { line in
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2 || words.count == 3, let change = TensorChange(rawValue: words.count == 3 ? words[2] : "")
      else { preconditionFailure("no rule: \(line)") }
      let isOptional = words[1].hasSuffix("?")
      return TensorRule(
        source: NameTemplate(words[0]), target: NameTemplate(isOptional ? String(words[1].dropLast()) : words[1]),
        change: change, isOptional: isOptional)
    }
  }
}
