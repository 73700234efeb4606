import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// TMP-9-4
extension LongList {
  static let tensors = LongList(member: "tensors", elements: "tensors", most: Limits.tensors)
  static let absent = LongList(member: "absent", elements: "absent tensors", most: Limits.tensors)
}

/// A manifest that can stand in a section: JSON with references to payloads.
protocol SectionManifest: Sendable {
  /// What else is needed to check it.
  associatedtype Context

  /// What messages call it.
  static var what: String { get }

  /// Members that are lists of entries, however long: the only ones that may have more than `Limits.manifestValues` values.
  static var lists: [LongList] { get }

  /// Reads a manifest, and has each payload go through the ledger in the order of the text.
  init(parsing text: ManifestText, context: Context, _ ledger: inout PayloadLedger) throws(StorageError)

  /// What it was read from; nil where it was made, or changed.
  var text: ManifestText? { get }
  var json: JSONValue { get }

  /// Calls `body` with each payload in the order of the canonical text (TMP-5-9), and keeps what it makes of it.
  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure)
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

  /// - Parameter object: the manifest without its tensors.
  init(_ object: JSONObject, kind: String, _ ledger: inout PayloadLedger) throws(StorageError) {
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
    for file in self.files { try ledger.add(file.payload) }
  }

  func object(kind: String, tensors: [JSONValue]) -> JSONObject {
    [
      "files": .array(files.map(\.json)), "kind": .string(kind), "metadata": JSONValue(metadata),
      "provenance": provenance.json, "tensors": .array(tensors),
    ]
  }
}

/// How the shared model's tensors are stored (TMP-4-9).
package enum SharedStorage: String, Sendable {
  case embedded
  case detached
}
