import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// One tensor of the shared model (TMP-6-3).
package struct SharedEntry: Sendable, Hashable {
  /// Where the tensor's bytes are.
  package enum Content: Sendable, Hashable {
    case embedded(PayloadReference)
    /// In another checkpoint. They have this checksum (TMP-6-24); nil in archives that have none.
    case detached(CRC32?)
  }

  package let info: TensorInfo
  /// Of the tensor's bytes.
  package let digest: ContentDigest
  public fileprivate(set) var content: Content

  package init(info: TensorInfo, digest: ContentDigest, content: Content) {
    self.info = info
    self.digest = digest
    self.content = content
  }

  /// The entry of a tensor in a detached archive.
  package init(detached info: TensorInfo, _ tensor: OpenTensor) throws(StorageError) {
    var (hash, checksum) = (RunningDigest(), CRC32())
    try tensor.forEachRun { _, run in
      hash.update(run)
      checksum.update(run)
    }
    self.init(info: info, digest: hash.finish(), content: .detached(checksum))
  }

  package var payload: PayloadReference? {
    if case .embedded(let payload) = content { payload } else { nil }
  }

  init(json: JSONValue, storage: SharedStorage) throws(StorageError) {
    let object = try json.asObject("a tensor")
    let name = try object.required("name", of: "a tensor").asString("a tensor's name")
    self = try located(tensor: name) { () throws(StorageError) in
      try object.allowOnly(["checksum", "digest", "dtype", "name", "payload", "shape"], in: "the entry")
      let info = try TensorInfo(
        name: name, dtype: try object.required("dtype", of: "the entry").asDType("the entry"),
        shape: try object.required("shape", of: "the entry").asShape("the shape"))
      let digest = try object.required("digest", of: "the entry").asDigest("the digest")
      switch storage {
      case .embedded:
        guard object["checksum"] == nil else { throw StorageError(.malformed, "has a checksum in an embedded archive") }
        let payload = try PayloadReference(json: try object.required("payload", of: "the entry"), "the payload")
        guard payload.size == info.byteCount else {
          throw StorageError(.malformed, "the payload has \(payload.size) bytes, the tensor \(info.byteCount)")
        }
        return SharedEntry(info: info, digest: digest, content: .embedded(payload))
      case .detached:
        guard object["payload"] == nil else { throw StorageError(.malformed, "has a payload in a detached archive") }
        let checksum = try object["checksum"].map { value throws(StorageError) in try value.asChecksum("the checksum") }
        return SharedEntry(info: info, digest: digest, content: .detached(checksum))
      }
    }
  }

  var json: JSONValue {
    var object: JSONObject = [
      "digest": .string(digest.hexadecimal), "dtype": .string(info.dtype.rawValue), "name": .string(info.name),
      "shape": info.shape.json,
    ]
    switch content {
    case .embedded(let payload): object["payload"] = payload.json
    case .detached(let checksum?): object["checksum"] = .string(checksum.hexadecimal)
    case .detached(nil): break
    }
    return .object(object)
  }
}

/// The table of contents of the shared model's section (TMP-6).
package struct SharedManifest: Sendable {
  package var tensors: [SharedEntry]
  package var files: [CarriedFileEntry]
  package var metadata: [String: String]
  package var provenance: Provenance

  package init(
    tensors: [SharedEntry], files: [CarriedFileEntry], metadata: [String: String], provenance: Provenance
  ) {
    self.tensors = tensors
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
  }

  /// The entry of that name. O(log n).
  package func entry(named name: String) -> SharedEntry? { index(of: name).map { tensors[$0] } }

  /// The shape and dtype of the tensor of that name. O(log n).
  package func info(named name: String) -> TensorInfo? { index(of: name).map { tensors[$0].info } }

  /// Whether there is a tensor of that name. O(log n).
  package func holds(_ name: String) -> Bool { index(of: name) != nil }

  private func index(of name: String) -> Int? { tensors.index(ofName: name) { $0.pointee.info.name } }
}

extension SharedManifest: SectionManifest {
  func checkFrames(count _: Int) {}

  static let members = ["files", "kind", "metadata", "provenance", "tensors"]

  var json: JSONValue {
    .object(
      CommonManifest(files: files, metadata: metadata, provenance: provenance)
        .object(kind: "shared", tensors: tensors.map(\.json)))
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    for index in files.indices { files[index].payload = try body(files[index].payload) }
    for index in tensors.indices {
      if let payload = tensors[index].payload { tensors[index].content = .embedded(try body(payload)) }
    }
  }
}
