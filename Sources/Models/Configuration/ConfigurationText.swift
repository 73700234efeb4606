import TMPackByteIO
import TMPackJSON

/// The text of a `config.json`, of which single members can be read and changed: every other byte stays as it is.
///
/// `transformers` writes what strict JSON has not, `Infinity` and `NaN`: such a value is passed over as it stands, and reads as
/// nothing.
package struct ConfigurationText: Sendable, Equatable {
  package private(set) var bytes: [UInt8]

  /// Larger files are no configurations.
  private static let mostBytes = 4 << 20
  private static let mostObjects = 256

  /// nil for what is no object.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.mostBytes else { return nil }
    self.bytes = bytes
    var scanner = Scanner(bytes)
    scanner.skipSpace()
    guard scanner.next == UInt8(ascii: "{"), let end = scanner.skipValue() else { return nil }
    scanner.position = end
    scanner.skipSpace()
    guard scanner.position == bytes.count else { return nil }
  }

  private struct Member {
    let name: String
    /// Where the name's quotation mark begins.
    let start: Int
    let value: Range<Int>
  }

  /// The value at a path of names; nil where there is none, or one that is no JSON.
  package subscript(path: [String]) -> JSONValue? {
    range(of: path).flatMap { try? JSONValue(parsing: Array(bytes[$0])) }
  }

  /// Paths of the objects within, outermost first, the whole itself as the empty path. Those in arrays do not count.
  package var objects: [[String]] {
    var found: [[String]] = [[]]
    var index = 0
    while index < found.count, found.count < Self.mostObjects {
      let path = found[index]
      if path.count < Limits.jsonDepth, let range = range(of: path) {
        found += members(of: range).filter { bytes[$0.value.lowerBound] == UInt8(ascii: "{") }.map { path + [$0.name] }
      }
      index += 1
    }
    return found
  }

  /// Sets a member of an object that is there; a new one comes last.
  package mutating func set(_ name: String, in path: [String] = [], to value: JSONValue) {
    guard let object = range(of: path) else { return }
    let text = Array(value.compactText.utf8)
    let members = members(of: object)
    if let member = members.last(where: { $0.name.hasSameBytes(as: name) }) {
      bytes.replaceSubrange(member.value, with: text)
    } else if let last = members.last {
      // As the members before it are set apart.
      let previous = members.count > 1 ? members[members.count - 2].value.upperBound + 1 : object.lowerBound + 1
      let space = bytes[previous..<last.start].filter { Scanner.isSpace($0) }
      let new = Array(",".utf8) + space + Array("\(JSONValue.string(name).compactText): ".utf8) + text
      bytes.insert(contentsOf: new, at: last.value.upperBound)
    } else {
      bytes.insert(
        contentsOf: Array("\(JSONValue.string(name).compactText): ".utf8) + text, at: object.lowerBound + 1)
    }
  }

  /// Takes a member away, if it is there.
  package mutating func remove(_ name: String, in path: [String] = []) {
    guard let object = range(of: path) else { return }
    let members = members(of: object)
    guard let index = members.lastIndex(where: { $0.name.hasSameBytes(as: name) }) else { return }
    if index + 1 < members.count {
      bytes.removeSubrange(members[index].start..<members[index + 1].start)
    } else {
      let start = index > 0 ? members[index - 1].value.upperBound : members[index].start
      bytes.removeSubrange(start..<members[index].value.upperBound)
    }
  }

  private func range(of path: [String]) -> Range<Int>? {
    var scanner = Scanner(bytes)
    scanner.skipSpace()
    guard let end = scanner.skipValue() else { return nil }
    var range = scanner.position..<end
    for name in path {
      guard bytes[range.lowerBound] == UInt8(ascii: "{"),
        let member = members(of: range).last(where: { $0.name.hasSameBytes(as: name) })
      else { return nil }
      range = member.value
    }
    return range
  }

  private func members(of object: Range<Int>) -> [Member] {
    var scanner = Scanner(bytes)
    scanner.position = object.lowerBound + 1
    var members: [Member] = []
    while true {
      scanner.skipSpace(and: UInt8(ascii: ","))
      let start = scanner.position
      guard start < object.upperBound, scanner.next == UInt8(ascii: "\""), let nameEnd = scanner.skipValue(),
        case .string(let name)? = try? JSONValue(parsing: Array(bytes[start..<nameEnd]))
      else { return members }
      scanner.position = nameEnd
      scanner.skipSpace(and: UInt8(ascii: ":"))
      guard let end = scanner.skipValue() else { return members }
      members.append(Member(name: name, start: start, value: scanner.position..<end))
      scanner.position = end
    }
  }
}

/// Finds where values end, by their brackets and quotation marks alone.
private struct Scanner {
  let bytes: [UInt8]
  var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

  mutating func skipSpace(and other: UInt8? = nil) {
    while let next, Self.isSpace(next) || next == other { position += 1 }
  }

  /// The end of the value that begins here; nil where the text ends first.
  func skipValue() -> Int? {
    var depth = 0
    var index = position
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        // Of what holds a bare value.
        if depth == 0 { return index > position ? index : nil }
        depth -= 1
        if depth == 0 { return index + 1 }
      case UInt8(ascii: "\""):
        guard let end = end(ofStringAt: index) else { return nil }
        index = end - 1
        if depth == 0 { return end }
      case UInt8(ascii: ","), 0x20, 0x0A, 0x0D, 0x09: if depth == 0 { return index > position ? index : nil }
      default: break
      }
      index += 1
    }
    return depth == 0 && index > position ? index : nil
  }

  private func end(ofStringAt start: Int) -> Int? {
    var index = start + 1
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\\"): index += 2
      case UInt8(ascii: "\""): return index + 1
      default: index += 1
      }
    }
    return nil
  }
}
