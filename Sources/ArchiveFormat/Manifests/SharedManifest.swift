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
  package fileprivate(set) var content: Content

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

  package init(_ members: EntryMembers) throws(StorageError) {
    try members.allowOnly([.checksum, .digest, .dtype, .name, .payload, .shape])
    info = try TensorInfo(
      name: members.name.text, dtype: try DType(members), shape: Shape(EntryMembers.required(members.shape, .shape)))
    digest = try EntryMembers.required(members.digest, .digest).asDigest("the digest")
    let checksum = try members.checksum.map { text throws(StorageError) in try text.asChecksum("the checksum") }
    guard let payload = members.payload(.payload) else {
      content = .detached(checksum)
      return
    }
    guard checksum == nil else { throw StorageError(.malformed, "has a checksum beside a payload") }
    guard payload.size == info.byteCount else {
      throw StorageError(.malformed, "the payload has \(payload.size) bytes, the tensor \(info.byteCount)")
    }
    content = .embedded(payload)
  }

  /// Throws `malformed` unless it is one of a model that is stored so.
  fileprivate func check(_ storage: SharedStorage) throws(StorageError) {
    switch (storage, content) {
    case (.embedded, .detached): throw JSONObject.missingMember("payload", of: "the entry of an embedded archive")
    case (.detached, .embedded): throw StorageError(.malformed, "has a payload in a detached archive")
    case (.embedded, .embedded), (.detached, .detached): break
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

extension SharedEntry: ManifestEntry {
  package var name: String { info.name }
}

/// The table of contents of the shared model's section (TMP-6).
package struct SharedManifest: Sendable {
  package private(set) var tensors: EntryList<SharedEntry>
  /// Of the tensors, in their order.
  package let infos: [TensorInfo]
  package private(set) var files: [CarriedFileEntry]
  package let metadata: [String: String]
  package let provenance: Provenance
  private(set) var text: ManifestText?

  package init(
    tensors: [SharedEntry], files: [CarriedFileEntry], metadata: [String: String], provenance: Provenance
  ) {
    self.tensors = EntryList(tensors)
    infos = tensors.map(\.info)
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
  }

  /// The entry of that name. O(log n).
  package func entry(named name: String) -> SharedEntry? { infos.index(ofTensor: name).map { tensors[$0] } }

  /// The shape and dtype of the tensor of that name. O(log n).
  package func info(named name: String) -> TensorInfo? { infos.index(ofTensor: name).map { infos[$0] } }

  /// The same for who goes through names in their order: `place` is where the next is looked for, at first 0.
  func info(named name: String, from place: inout Int) -> TensorInfo? {
    while place < infos.count, infos[place].name.precedesInBytes(name) { place += 1 }
    return place < infos.count && infos[place].name.hasSameBytes(as: name) ? infos[place] : nil
  }

  /// Whether there is a tensor of that name. O(log n).
  package func holds(_ name: String) -> Bool { infos.index(ofTensor: name) != nil }
}

extension SharedManifest: SectionManifest {
  static let what = "the shared manifest"
  static let lists = [LongList.tensors]
  static let members = ["files", "kind", "metadata", "provenance", "tensors"]

  init(parsing text: ManifestText, context storage: SharedStorage, _ ledger: inout PayloadLedger) throws(StorageError) {
    var common: CommonManifest?
    var tensors: EntryList<SharedEntry>?
    var infos: [TensorInfo] = []
    let object = try text.withBytes { raw throws(StorageError) in
      try CanonicalText(parsing: raw, Self.what, lists: Self.lists) { _, object, reader throws(StorageError) in
        common = try CommonManifest(object, kind: "shared", &ledger)
        tensors = try EntryList(reading: &reader, in: text, "the shared tensors") { entry, _ throws(StorageError) in
          try entry.check(storage)
          if let payload = entry.payload { try ledger.add(payload) }
          infos.append(entry.info)
        }
        return infos.count
      }
    }
    try object.object.allowOnly(Self.members, in: Self.what)
    guard let common, let tensors else { throw object.missing(.tensors) }
    (files, metadata, provenance) = (common.files, common.metadata, common.provenance)
    (self.tensors, self.infos, self.text) = (tensors, infos, text)
  }

  var json: JSONValue {
    .object(
      CommonManifest(files: files, metadata: metadata, provenance: provenance)
        .object(kind: "shared", tensors: tensors.map(\.json)))
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    for index in files.indices { files[index].payload = try body(files[index].payload) }
    tensors = EntryList(
      try tensors.map { entry throws(Failure) in
        guard let payload = entry.payload else { return entry }
        var entry = entry
        entry.content = .embedded(try body(payload))
        return entry
      })
    text = nil
  }
}
