import TMPackByteIO
import TMPackYAML

/// A mapping of which all keys are known.
struct RecipeMapping {
  package let members: [YAMLMember]
  private let what: String
  private let line: Int

  /// - Parameters:
  ///   - refused: keys of other programs' recipes, with why they are not for this one.
  ///   - others: keys that may be there, and are not proposed.
  /// - Throws: `unknownName` for any other key, with the nearest that there is; `malformed` for no mapping.
  init(
    _ node: YAMLNode, _ what: String, keys: [String], refusing refused: [String: String] = [:],
    alsoKnown others: Set<String> = []
  ) throws(StorageError) {
    guard case .mapping(let members) = node.content else {
      throw StorageError(.malformed, "line \(node.line): \(what) must be a mapping; found \(node.kindName)")
    }
    for member in members where !keys.contains(member.key) && !others.contains(member.key) {
      if let why = refused[member.key] {
        throw StorageError(.unsupportedFeature, "line \(member.line): '\(member.key)' is not supported: \(why)")
      }
      throw StorageError(
        .unknownName,
        "line \(member.line): \(what) has no '\(member.key)'"
          + (keys.isEmpty ? "" : member.key.suggestion(among: keys)))
    }
    self.members = members
    self.what = what
    line = node.line
  }

  subscript(key: String) -> YAMLNode? { members.first { $0.key == key }?.value }

  package func required(_ key: String) throws(StorageError) -> YAMLNode {
    guard let node = self[key] else { throw StorageError(.malformed, "line \(line): \(what) lacks '\(key)'") }
    return node
  }

  func line(of key: String) -> Int { members.first { $0.key == key }?.line ?? line }
}

extension YAMLNode {
  package func text(_ what: String) throws(StorageError) -> String {
    guard case .scalar(let text) = content, !text.isEmpty else {
      throw StorageError(.malformed, "line \(line): \(what) is wanted; found \(kindName)")
    }
    return text
  }

  package func list(_ what: String) throws(StorageError) -> [YAMLNode] {
    guard case .sequence(let nodes) = content else {
      throw StorageError(.malformed, "line \(line): \(what) must be a list; found \(kindName)")
    }
    return nodes
  }
}

/// Adds the line of a recipe to an error's message.
func located<Result>(line: Int, _ body: () throws(StorageError) -> Result) throws(StorageError) -> Result {
  do throws(StorageError) { return try body() } catch {
    throw StorageError(error.code, "line \(line): \(error.message)")
  }
}
