import ByteIO
import Digests
import TensorKit

/// One tensor of the shared model (TMP-6-3).
public struct SharedEntry: Sendable, Hashable {
  public let info: TensorInfo
  /// Of the tensor's bytes.
  public let digest: Digest
  /// Nil in a detached archive (TMP-6-4).
  public var payload: PayloadReference?

  public init(info: TensorInfo, digest: Digest, payload: PayloadReference?) {
    self.info = info
    self.digest = digest
    self.payload = payload
  }

  init(json: JSONValue, storage: SharedStorage) throws(StorageError) {
    let object = try json.asObject("a tensor")
    let name = try object.required("name", of: "a tensor").asString("a tensor's name")
    self = try located(tensor: name) { () throws(StorageError) in
      try object.allowOnly(["digest", "dtype", "name", "payload", "shape"], in: "the entry")
      let info = try TensorInfo(
        name: name, dtype: try object.required("dtype", of: "the entry").asDType("the entry"),
        shape: try object.required("shape", of: "the entry").asShape("the shape"))
      let digest = try object.required("digest", of: "the entry").asDigest("the digest")
      switch storage {
      case .embedded:
        let payload = try PayloadReference(json: try object.required("payload", of: "the entry"), "the payload")
        guard payload.size == info.byteCount else {
          throw StorageError(.malformed, "the payload has \(payload.size) bytes, the tensor \(info.byteCount)")
        }
        return SharedEntry(info: info, digest: digest, payload: payload)
      case .detached:
        guard object["payload"] == nil else { throw StorageError(.malformed, "has a payload in a detached archive") }
        return SharedEntry(info: info, digest: digest, payload: nil)
      }
    }
  }

  var json: JSONValue {
    var object: JSONObject = [
      "digest": .string(digest.hexadecimal), "dtype": .string(info.dtype.rawValue), "name": .string(info.name),
      "shape": info.shape.json,
    ]
    if let payload { object["payload"] = payload.json }
    return .object(object)
  }
}

/// The table of contents of the shared model's section (TMP-6).
public struct SharedManifest: Sendable {
  public var tensors: [SharedEntry]
  public var files: [CarriedFileEntry]
  public var metadata: [String: String]
  public var provenance: Provenance

  public init(
    tensors: [SharedEntry], files: [CarriedFileEntry], metadata: [String: String], provenance: Provenance
  ) {
    self.tensors = tensors
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
  }

  /// The entry of that name. O(log n).
  public func entry(named name: String) -> SharedEntry? {
    let index = tensors.partitioningIndex { !$0.info.name.utf8.lexicographicallyPrecedes(name.utf8) }
    return index < tensors.count && tensors[index].info.name.hasSameBytes(as: name) ? tensors[index] : nil
  }
}

extension SharedManifest: SectionManifest {
  func checkFrames(count _: Int) {}

  static let members: Set<String> = ["files", "kind", "metadata", "provenance", "tensors"]

  init(json: JSONValue, context: SharedStorage) throws(StorageError) {
    let object = try json.asObject("the shared manifest")
    try object.allowOnly(Self.members, in: "the shared manifest")
    let common = try CommonManifest(object, kind: "shared")
    files = common.files
    metadata = common.metadata
    provenance = common.provenance
    tensors = try common.tensors.map { value throws(StorageError) in try SharedEntry(json: value, storage: context) }
    try tensors.lazy.map(\.info.name).checkSorted("the shared tensors")
  }

  var json: JSONValue {
    .object(
      CommonManifest(files: files, metadata: metadata, provenance: provenance, tensors: tensors.map(\.json))
        .object(kind: "shared"))
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    for index in files.indices { files[index].payload = try body(files[index].payload) }
    for index in tensors.indices {
      if let payload = tensors[index].payload { tensors[index].payload = try body(payload) }
    }
  }
}
