import ByteIO

/// The metadata of a GGUF file: typed values by key, in the order of the file.
///
/// ```swift
/// var metadata = GGUFMetadata()
/// metadata["general.architecture"] = .string("bert")
/// metadata["bert.block_count"] = .uint32(6)
/// ```
public struct GGUFMetadata: Sendable, Hashable {
  public struct Entry: Sendable, Hashable {
    public let key: String
    public let value: GGUFValue
  }

  /// Keys are unique.
  public private(set) var entries: [Entry]

  public init() { entries = [] }

  /// - Throws: `malformed` when a key is there twice, in any Unicode spelling.
  init(entries: [Entry]) throws(StorageError) {
    var keys = Set<String>(minimumCapacity: entries.count)
    for entry in entries where !keys.insert(entry.key).inserted {
      throw StorageError(.malformed, "the key \"\(entry.key)\" is there twice")
    }
    self.entries = entries
  }

  /// The metadata of a checkpoint in another format: strings, sorted by the bytes of their keys.
  ///
  /// What only describes the layout of a GGUF file is left out: a key without its type would not be valid there.
  public init(_ strings: [String: String]) {
    entries = strings.filter { !GGUFKey.layout.contains($0.key) }
      .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      .map { Entry(key: $0.key, value: .string($0.value)) }
  }

  /// The value of a key; a new key goes to the end. O(n).
  public subscript(key: String) -> GGUFValue? {
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

  /// Every value but the arrays as text, which is what `TensorSource.metadata` can hold.
  public var strings: [String: String] {
    var strings: [String: String] = [:]
    for entry in entries {
      if let text = entry.value.text { strings[entry.key] = text }
    }
    return strings
  }

  /// What the data part and each tensor in it begin at a multiple of.
  ///
  /// - Throws: `malformed` unless it is a UINT32 and a power of two, as ggml and gguf-py demand (the document says a
  ///   multiple of 8), `limitExceeded` above `Limits.ggufAlignment`.
  func alignment() throws(StorageError) -> Int {
    guard let value = self[GGUFKey.alignment] else { return GGUFHeader.defaultAlignment }
    guard case .uint32(let alignment) = value else {
      throw StorageError(.malformed, "\(GGUFKey.alignment) is not a UINT32")
    }
    guard alignment.nonzeroBitCount == 1 else {
      throw StorageError(.malformed, "\(GGUFKey.alignment) is \(alignment), not a power of two")
    }
    try Limits.check(alignment, atMost: Limits.ggufAlignment, GGUFKey.alignment)
    return Int(alignment)
  }
}

/// Keys that say how the file itself is laid out.
enum GGUFKey {
  static let alignment = "general.alignment"
  static let quantizationVersion = "general.quantization_version"

  static let layout: Set<String> = [alignment, quantizationVersion]
}
