/// A number of the network, where config.json has it, and under which key llama.cpp looks for it.
struct ParameterRule: Sendable {
  enum Kind: String, Sendable {
    case count = "u32"
    case number = "f32"
  }

  /// Behind the network's name and a dot.
  let key: String
  let kind: Kind
  /// Members of config.json, the first that is there.
  let members: [String]
  /// What transformers assumes where config.json says nothing.
  let assumed: Double?

  /// A table of rules: key, kind, members, and what is assumed without them.
  static func table(_ text: String) -> [ParameterRule] {
    text.split(separator: "\n").map { line in
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 3 || words.count == 4, let kind = Kind(rawValue: words[1]) else {
        preconditionFailure("no rule: \(line)")
      }
      return ParameterRule(
        key: words[0], kind: kind, members: words[2].split(separator: "|").map(String.init),
        assumed: words.count == 4 ? Double(words[3]) : nil)
    }
  }
}
