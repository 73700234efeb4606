import TMPackByteIO

/// A value in a YAML text, with the line that it begins on.
package struct YAMLNode: Sendable {
  package indirect enum Content: Sendable {
    case null
    /// A text as it was written, quoted or plain: `2`, `true` and `"x"` are all scalars.
    case scalar(String)
    case sequence([YAMLNode])
    /// Unique keys, in order.
    case mapping([YAMLMember])
  }

  package let content: Content
  /// From 1.
  package let line: Int

  package init(_ content: Content, line: Int) {
    self.content = content
    self.line = line
  }

  /// What it is, for messages.
  package var kindName: String {
    switch content {
    case .null: "nothing"
    case .scalar(let text): "'\(text)'"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// A key with its value.
package struct YAMLMember: Sendable {
  package let key: String
  /// Of the key.
  package let line: Int
  package let value: YAMLNode
}

extension YAMLNode {
  /// Reads a text in the part of YAML 1.2 that configurations are written in: block and flow collections, plain and
  /// quoted scalars of one line, comments. JSON is such a text, too.
  ///
  /// - Throws: `malformed`, with the line, for anything that is not YAML, for a key that is there twice, and for what
  ///   is left out on purpose: anchors, tags, block scalars, scalars of several lines, keys that are no scalars, and
  ///   several documents; `limitExceeded` for more bytes or depth than `Limits` allow.
  /// - Complexity: O(n²) in the number of keys of one mapping, else O(n).
  package init(parsing text: [UInt8]) throws(StorageError) {
    try Limits.check(text.count, atMost: Limits.yamlBytes, "the size of the file")
    guard String(validating: text, as: UTF8.self) != nil else {
      // Up to what cannot be read, decoding gives the same bytes again.
      let offset = zip(text, String(decoding: text, as: UTF8.self).utf8).prefix { $0 == $1 }.count
      throw StorageError(.malformed, "is not UTF-8", offset: UInt64(offset))
    }
    var parser = YAMLParser(text)
    self = try parser.document()
  }
}
