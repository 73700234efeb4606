import TMPackByteIO

/// Free-form values of a checkpoint by key, in the order of the file, each with its type.
///
/// ```swift
/// var metadata = TypedMetadata()
/// metadata["general.architecture"] = .string("bert")
/// metadata["bert.block_count"] = .uint32(6)
/// ```
public struct TypedMetadata: Sendable, Hashable {
  public struct Entry: Sendable, Hashable {
    public let key: String
    public let value: MetadataValue

    public init(key: String, value: MetadataValue) {
      self.key = key
      self.value = value
    }
  }

  /// Keys are unique.
  package private(set) var entries: [Entry]

  public init() { entries = [] }

  /// - Throws: `malformed` when a key is there twice, in any Unicode spelling.
  public init(entries: [Entry]) throws(StorageError) {
    var keys = Set<String>(minimumCapacity: entries.count)
    for entry in entries where !keys.insert(entry.key).inserted {
      throw StorageError(.malformed, "the key \"\(entry.key)\" is there twice")
    }
    self.entries = entries
  }

  /// The metadata of a format that has nothing but strings, sorted by the bytes of their keys.
  public init(_ strings: [String: String]) {
    entries = strings.sorted { $0.key.precedesInBytes($1.key) }
      .map { Entry(key: $0.key, value: .string($0.value)) }
  }

  /// The value of a key; a new key goes to the end. O(n).
  public subscript(key: String) -> MetadataValue? {
    get { entries.first { $0.key == key }?.value }
    set {
      let index = entries.firstIndex { $0.key == key }
      switch (index, newValue) {
      case (let index?, let value?): entries[index] = Entry(key: key, value: value)
      case (let index?, nil): entries.remove(at: index)
      case (nil, let value?): entries.append(Entry(key: key, value: value))
      case (nil, nil): break
      }
    }
  }

  /// Every value but the arrays as text: what formats without types can hold.
  public var strings: [String: String] {
    var strings: [String: String] = [:]
    for entry in entries {
      if let text = entry.value.text { strings[entry.key] = text }
    }
    return strings
  }
}
