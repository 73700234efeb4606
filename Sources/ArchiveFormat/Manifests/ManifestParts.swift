import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// One weight file that a part of the archive was made from.
package struct SourceRecord: Sendable, Hashable {
  package let name: String
  package let size: UInt64
  package let digest: ContentDigest

  package init(name: String, size: UInt64, digest: ContentDigest) {
    self.name = name
    self.size = size
    self.digest = digest
  }
}

/// What made a section, from what, and how.
package struct Provenance: Sendable, Hashable {
  /// Name and version, such as `tmpack 0.1.0`.
  package var tool: String
  package var options: [String: String]
  package var sources: [SourceRecord]

  package init(tool: String, options: [String: String], sources: [SourceRecord]) {
    self.tool = tool
    self.options = options
    self.sources = sources
  }

  init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("provenance")
    try object.allowOnly(["tool", "options", "sources"], in: "provenance")
    tool = try object.required("tool", of: "provenance").asString("the tool")
    options = try object.required("options", of: "provenance").asStringMap("the options")
    sources = try object.required("sources", of: "provenance").asArray("the sources").map {
      value throws(StorageError) in
      let source = try value.asObject("a source")
      try source.allowOnly(["digest", "name", "size"], in: "a source")
      return SourceRecord(
        name: try source.required("name", of: "a source").asString("a source's name"),
        size: UInt64(try source.required("size", of: "a source").asCount("a source's size")),
        digest: try source.required("digest", of: "a source").asDigest("a source's digest"))
    }
  }

  var json: JSONValue {
    [
      "tool": .string(tool), "options": JSONValue(options),
      "sources": .array(
        sources.map {
          ["name": .string($0.name), "size": JSONValue($0.size), "digest": .string($0.digest.hexadecimal)]
        }),
    ]
  }
}

/// A file of the model folder that is not a checkpoint: `config.json`, the tokenizer, …
package struct CarriedFileEntry: Sendable, Hashable {
  package let name: CarriedFileName
  package let digest: ContentDigest
  package var payload: PayloadReference

  package init(name: CarriedFileName, digest: ContentDigest, payload: PayloadReference) {
    self.name = name
    self.digest = digest
    self.payload = payload
  }

  init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("a file")
    try object.allowOnly(["digest", "name", "payload"], in: "a file")
    name = try CarriedFileName(try object.required("name", of: "a file").asString("a file's name"))  // TMP-6-2
    digest = try object.required("digest", of: "a file").asDigest("the digest of file \(name)")
    payload = try PayloadReference(json: try object.required("payload", of: "file \(name)"), "file \(name)")
    try Limits.check(payload.size, atMost: Limits.carriedFileBytes, "the size of file \(name)")  // TMP-9-10
  }

  var json: JSONValue {
    ["digest": .string(digest.hexadecimal), "name": .string(name.text), "payload": payload.json]
  }
}

extension JSONValue {
  /// An object, its members sorted.
  package init(_ strings: [String: String]) {
    self = .object(JSONObject(strings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
  }

  package init(_ counts: [String: Int]) {
    self = .object(JSONObject(counts.sorted { $0.key < $1.key }.map { ($0.key, JSONValue($0.value)) }))
  }

  package func asDigest(_ what: @autoclosure () -> String) throws(StorageError) -> ContentDigest {
    guard let digest = ContentDigest(hexadecimal: try asString(what())) else {
      throw StorageError(.malformed, "\(what()) is not 64 lowercase hexadecimal digits")
    }
    return digest
  }

  func asStringMap(_ what: @autoclosure () -> String) throws(StorageError) -> [String: String] {
    var map: [String: String] = [:]
    for (name, value) in try asObject(what()).members {
      map[name] = try value.asString("\(what()): \(name)")
    }
    return map
  }
}

extension JSONString {
  func asDigest(_ what: @autoclosure () -> String) throws(StorageError) -> ContentDigest {
    guard let digest = ContentDigest(hexadecimal: body) else {
      throw StorageError(.malformed, "\(what()) is not 64 lowercase hexadecimal digits")
    }
    return digest
  }

  func asChecksum(_ what: @autoclosure () -> String) throws(StorageError) -> CRC32 {
    guard let checksum = CRC32(hexadecimal: text) else {
      throw StorageError(.malformed, "\(what()) is not 8 lowercase hexadecimal digits")
    }
    return checksum
  }
}

extension DType {
  /// The member `dtype` of an entry.
  init(_ members: EntryMembers) throws(StorageError) {
    let name = try EntryMembers.required(members.dtype, .dtype).text
    guard let dtype = DType(rawValue: name) else {
      throw StorageError(.malformed, "the entry has the unknown dtype \(name)")
    }
    self = dtype
  }
}

extension Shape {
  var json: JSONValue { .array(dimensions.map { JSONValue($0) }) }
}

extension Sequence where Element == String {
  /// Throws unless the names are unique, in the order of their UTF-8 bytes, and short enough (TMP-6-1).
  func checkSorted(_ what: String) throws(StorageError) {
    var previous: String?
    for name in self {
      try Limits.check(name.utf8.count, atMost: Limits.nameBytes, "the length of a name")
      if let previous, !previous.precedesInBytes(name) {
        throw StorageError(.malformed, "\(what) are not sorted: \"\(name)\" follows \"\(previous)\"")
      }
      previous = name
    }
  }
}
