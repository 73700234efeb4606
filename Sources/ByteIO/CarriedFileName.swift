/// The name of a file that travels with a checkpoint: a relative path that cannot leave the folder it is put in.
///
/// Components are separated by `/`; none is empty, `.` or `..`; there is no backslash (a separator elsewhere) and no
/// control character (an archive's listing is printed on terminals).
public struct CarriedFileName: Sendable, Hashable {
  public let text: String

  /// - Throws: `malformed` when `text` breaks a rule; `limitExceeded` when it is too long or too deep.
  public init(_ text: String) throws(StorageError) {
    func refusal(_ why: String) -> StorageError {
      StorageError(.malformed, "the file name \(text.debugDescription) \(why)")
    }
    try Limits.check(text.utf8.count, atMost: Limits.nameBytes, "the length of a file's name in bytes")
    guard !text.utf8.contains(UInt8(ascii: "\\")) else { throw refusal("has a backslash") }
    guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw refusal("has a control character")
    }
    self.text = text
    guard !text.hasPrefix("/") else { throw refusal("is absolute") }
    for component in components where component.isEmpty || component == "." || component == ".." {
      throw refusal(component.isEmpty ? "has an empty part" : "has the part \"\(component)\"")
    }
    try Limits.check(components.count, atMost: Limits.carriedFileDepth, "the number of parts of \"\(text)\"")
  }

  public var components: [Substring] { text.split(separator: "/", omittingEmptySubsequences: false) }
}

extension CarriedFileName: Comparable, CustomStringConvertible {
  /// By UTF-8 bytes.
  public static func < (left: Self, right: Self) -> Bool {
    left.text.precedesInBytes(right.text)
  }

  public var description: String { text }
}
