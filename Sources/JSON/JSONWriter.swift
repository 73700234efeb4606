extension JSONValue {
  /// The one RFC 8785 encoding: no spaces, members sorted by the UTF-16 units of their names, shortest escapes.
  ///
  /// Numbers that are not integers have no place in what we sign; see `canonicalText`'s callers.
  /// - Precondition: there is no `.number` in the value and every integer is within ±(2⁵³ − 1).
  package var canonicalText: [UInt8] {
    var writer = JSONWriter(style: .canonical)
    writer.write(self, depth: 0)
    return writer.bytes
  }

  /// One line without spaces, members in their own order.
  package var compactText: String {
    var writer = JSONWriter(style: .compact)
    writer.write(self, depth: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// Indented by two spaces, members in their own order.
  package var prettyText: String {
    var writer = JSONWriter(style: .pretty)
    writer.write(self, depth: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

private struct JSONWriter {
  enum Style { case canonical, compact, pretty }
  let style: Style
  var bytes: [UInt8] = []

  init(style: Style) { self.style = style }

  mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null: append("null")
    case .bool(let bool): append(bool ? "true" : "false")
    case .integer(let integer):
      precondition(style != .canonical || integer.magnitude < 1 << 53, "integer beyond RFC 8785's range")
      append(String(integer))
    case .number(let number):
      precondition(style != .canonical, "canonical manifests hold no floating-point numbers")
      append(number.isFinite ? String(describing: number) : "null")
    case .string(let string): write(string)
    case .array(let array):
      writeList("[", "]", array, depth: depth) { $0.write($1, depth: depth + 1) }
    case .object(let object):
      var members = object.members
      if style == .canonical {
        members.sort { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
      }
      writeList("{", "}", members, depth: depth) { writer, member in
        writer.write(member.name)
        writer.append(writer.style == .pretty ? ": " : ":")
        writer.write(member.value, depth: depth + 1)
      }
    }
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func writeList<Element>(
    _ open: String, _ close: String, _ elements: [Element], depth: Int,
    _ writeElement: (inout JSONWriter, Element) -> Void
  ) {
    append(open)
    for (index, element) in elements.enumerated() {
      if index > 0 { append(",") }
      if style == .pretty { newline(depth + 1) }
      writeElement(&self, element)
    }
    if style == .pretty, !elements.isEmpty { newline(depth) }
    append(close)
  }

  private mutating func newline(_ depth: Int) {
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
  }

  private mutating func write(_ string: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\\"): append("\\\\")
      case 0x08: append("\\b")
      case 0x09: append("\\t")
      case 0x0A: append("\\n")
      case 0x0C: append("\\f")
      case 0x0D: append("\\r")
      case 0..<0x20:
        append("\\u00")
        bytes.append(contentsOf: [hexadecimal(byte >> 4), hexadecimal(byte & 15)])
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}

private func hexadecimal(_ digit: UInt8) -> UInt8 {
  digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
}
