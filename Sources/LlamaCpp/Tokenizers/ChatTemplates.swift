import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// How a conversation becomes a text: `chat_template` of `tokenizer_config.json`, or files of their own.
struct ChatTemplates {
  private var named: [(name: String, text: String)] = []

  init(_ configuration: JSONObject, _ files: [CarriedContent]) throws(StorageError) {
    switch configuration["chat_template"] {
    case .string(let text)?: named.append(("default", text))
    case .array(let templates)?:
      for template in templates {
        guard let name = template.asObject?["name"]?.asText, let text = template.asObject?["template"]?.asText else {
          continue
        }
        named.append((name, text))
      }
    default: break
    }
    for file in files {
      let name = file.name.text
      let folder = "additional_chat_templates/"
      if name == "chat_template.jinja" {
        named.removeAll { $0.name == "default" }
        named.append(("default", String(decoding: try file.bytes(), as: UTF8.self)))
      } else if name.hasPrefix(folder), name.hasSuffix(".jinja") {
        named.append(
          (String(name.dropFirst(folder.count).dropLast(6)), String(decoding: try file.bytes(), as: UTF8.self)))
      }
    }
  }

  var entries: [TypedMetadata.Entry] {
    var entries: [TypedMetadata.Entry] = []
    var others: [String] = []
    for template in named {
      if template.name == "default" {
        entries.append(.init(key: "tokenizer.chat_template", value: .string(template.text)))
        continue
      }
      let isPlain =
        !template.name.isEmpty && template.name.utf8.allSatisfy { $0 == 0x5F || 0x30...0x39 ~= $0 || 0x61...0x7A ~= $0 }
      guard isPlain, !others.contains(template.name) else { continue }
      others.append(template.name)
      entries.append(.init(key: "tokenizer.chat_template.\(template.name)", value: .string(template.text)))
    }
    if !others.isEmpty { entries.append(.init(key: "tokenizer.chat_templates", value: .array(.string(others)))) }
    return entries
  }
}
