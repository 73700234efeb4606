import TMPackByteIO
import TMPackJSON

/// A manifest that can stand in a section: JSON with references to payloads.
protocol SectionManifest: Sendable {
  /// What else is needed to check it.
  associatedtype Context

  /// What messages call it.
  static var what: String { get }

  /// Members that are lists of entries, however long: the only ones that may have more than `Limits.manifestValues` values.
  static var lists: Set<String> { get }

  init(_ text: CanonicalText, context: Context) throws(StorageError)
  var json: JSONValue { get }

  /// Calls `body` with each payload in the order of the canonical text (TMP-5-9).
  func forEachPayload<Failure>(_ body: (PayloadReference) throws(Failure) -> Void) throws(Failure)

  /// Calls `body` with each payload in the same order, and keeps what it makes of it.
  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure)

  /// Throws unless the frames are shared out among the payloads, which are known to fit them, as the manifest's kind wants.
  func checkFrames(count: Int) throws(StorageError)

  /// Bytes that payloads decode to beyond their own size (TMP-9-11).
  func symbolBytes(in context: Context) throws(StorageError) -> UInt64
}

extension SectionManifest {
  func symbolBytes(in _: Context) -> UInt64 { 0 }

  /// The sum of the payloads' sizes.
  func payloadBytes() throws(StorageError) -> UInt64 {
    var sum: UInt64 = 0
    try forEachPayload { payload throws(StorageError) in
      sum = try sum.adding(UInt64(payload.size), "the payloads' size")
    }
    return sum
  }
}

/// The members that both kinds of manifest have, besides their tensors.
struct CommonManifest {
  let files: [CarriedFileEntry]
  let metadata: [String: String]
  let provenance: Provenance

  init(files: [CarriedFileEntry], metadata: [String: String], provenance: Provenance) {
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
  }

  init(_ object: JSONObject, kind: String) throws(StorageError) {
    let what = "the \(kind) manifest"
    guard try object.required("kind", of: what).asString("the kind") == kind else {
      throw StorageError(.malformed, "\(what) says that it is of another kind")
    }
    let files = try object.required("files", of: what).asArray("the files")
    try Limits.check(files.count, atMost: Limits.carriedFiles, "the number of files")  // TMP-9-10
    self.files = try files.map { value throws(StorageError) in try CarriedFileEntry(json: value) }
    try self.files.lazy.map(\.name.text).checkSorted("the files")
    // Sorted, a folder's name comes before what is in it, but not always just before: `a`, `a.b`, `a/b`.
    let names = Set(self.files.map { ExactString($0.name.text) })
    for file in self.files {
      var folder = file.name.text[...]
      while let slash = folder.lastIndex(of: "/") {
        folder = folder[..<slash]
        guard !names.contains(ExactString(String(folder))) else {
          throw StorageError(.malformed, "the file \(folder) is also a folder, of \(file.name)")  // TMP-6-2
        }
      }
    }
    metadata = try object.required("metadata", of: what).asStringMap("the metadata")
    provenance = try Provenance(json: try object.required("provenance", of: what))
  }

  func object(kind: String, tensors: [JSONValue]) -> JSONObject {
    [
      "files": .array(files.map(\.json)), "kind": .string(kind), "metadata": JSONValue(metadata),
      "provenance": provenance.json, "tensors": .array(tensors),
    ]
  }
}

extension SharedManifest {
  static let what = "the shared manifest"
  static let lists: Set = ["tensors"]

  init(_ text: CanonicalText, context storage: SharedStorage) throws(StorageError) {
    try text.object.allowOnly(Self.members, in: Self.what)
    let common = try CommonManifest(text.object, kind: "shared")
    files = common.files
    metadata = common.metadata
    provenance = common.provenance
    // TMP-9-4
    tensors = try text.elements(of: "tensors", atMost: Limits.tensors, "tensors") { value throws(StorageError) in
      try SharedEntry(json: value, storage: storage)
    }
    try tensors.lazy.map(\.info.name).checkSorted("the shared tensors")
  }

  func forEachPayload<Failure>(_ body: (PayloadReference) throws(Failure) -> Void) throws(Failure) {
    for file in files { try body(file.payload) }
    for entry in tensors { if let payload = entry.payload { try body(payload) } }
  }
}

/// How the shared model's tensors are stored (TMP-4-9).
package enum SharedStorage: String, Sendable {
  case embedded
  case detached
}
