import TMPackArchiveFormat
import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What an archive holds, for machines (Spec/json.md).
package struct ArchiveInspection: Sendable {
  package let archive: Archive
  /// Of the experts that are listed.
  package let positions: [Int]
  package let listsTensors: Bool
  /// Of an expert's tensors; nil for that of the manifest.
  package let order: TensorOrder?
  /// By what they are listed together; nil where each stands for itself.
  package let grouping: TensorGrouping?
  /// Tensors or groups of each expert that are listed.
  package let limit: Int

  /// - Parameter positions: nil for all experts.
  package init(
    _ archive: Archive, positions: [Int]? = nil, listsTensors: Bool = false, order: TensorOrder? = nil,
    grouping: TensorGrouping? = nil, limit: Int = .max
  ) {
    self.archive = archive
    self.positions = positions ?? Array(archive.experts.indices)
    self.listsTensors = listsTensors
    self.order = order
    self.grouping = grouping
    self.limit = limit
  }

  /// The tensors of an expert that are listed.
  package func entries(_ manifest: ExpertManifest) -> some Sequence<ExpertEntry> {
    let entries = manifest.tensors
    let sorted =
      switch order {
      case nil: Array(entries.prefix(limit))
      case .error: entries.sorted { ($0.measures?.error.value ?? 0) > ($1.measures?.error.value ?? 0) }
      case .bytes: entries.sorted { $0.rawBytes > $1.rawBytes }
      }
    return sorted.prefix(limit)
  }

  /// The groups of an expert's tensors that are listed.
  package func groups(_ manifest: ExpertManifest, by grouping: TensorGrouping) -> some Sequence<TensorGroup> {
    let groups = TensorGroup.groups(of: manifest.tensors, by: grouping)
    let sorted =
      switch order {
      case nil: groups
      case .error: groups.sorted { ($0.error ?? 0) > ($1.error ?? 0) }
      case .bytes: groups.sorted { $0.rawBytes > $1.rawBytes }
      }
    return sorted.prefix(limit)
  }

  /// Dtype and shape of an expert's tensor.
  package static func info(_ entry: ExpertEntry, _ shared: SharedManifest) -> (dtype: String, shape: [Int]) {
    if let own = entry.factor.own { return (own.dtype.rawValue, own.shape.dimensions) }
    guard let info = shared.info(named: entry.name) else {
      preconditionFailure("the manifest was checked (TMP-6-7)")
    }
    return (info.dtype.rawValue, entry.info(against: info).shape.dimensions)
  }

  /// Stored bytes of the shared model's section and frames, each extent once.
  package func sharedBytes() throws(StorageError) -> UInt64 {
    try archive.file.sharedSection().frameBytes + UInt64(archive.file.index.shared.extent.storedSize)
  }

  /// Documented in Spec/json.md; members are only ever added.
  package func json() throws(StorageError) -> JSONObject {
    let manifest = try archive.sharedManifest()
    var shared: JSONObject = [
      "method": .string(archive.method.name.rawValue),
      "parameters": JSONValue(archive.method.parameters),
      "storage": .string(archive.isDetached ? "detached" : "embedded"), "bytes": JSONValue(try sharedBytes()),
      "tensors": JSONValue(manifest.tensors.count),
      "files": .array(manifest.files.map { .string($0.name.text) }), "provenance": manifest.provenance.reportJSON,
    ]
    if archive.isMappable { shared["mappable"] = .bool(true) }
    if listsTensors {
      shared["tensor_list"] = .array(
        manifest.tensors.map {
          [
            "name": .string($0.info.name), "dtype": .string($0.info.dtype.rawValue),
            "shape": .array($0.info.shape.dimensions.map { JSONValue($0) }), "digest": .string($0.digest.hexadecimal),
          ]
        })
    }
    var object: JSONObject = [
      "archive": .string(archive.path), "bytes": JSONValue(archive.size),
      "format": .string("\(HeaderSlot.majorVersion).\(HeaderSlot.minorVersion)"),
      "generation": JSONValue(archive.file.slot.generation), "root_digest": .string(archive.rootDigest.hexadecimal),
      "shared": .object(shared),
      "experts": .array(
        try positions.map { position throws(StorageError) in .object(try expertJSON(position, manifest)) }),
    ]
    if let router = try archive.routerManifest() {
      var own = router.reportJSON
      own["provenance"] = router.provenance.reportJSON
      object["router"] = .object(own)
    }
    return object
  }

  private func expertJSON(_ position: Int, _ shared: SharedManifest) throws(StorageError) -> JSONObject {
    var object = archive.experts[position].summaryJSON
    guard listsTensors || grouping != nil else { return object }
    let manifest = try archive.file.expertSection(position).manifest
    let loss = manifest.lostEnergy
    if let grouping {
      object["groups"] = .array(
        groups(manifest, by: grouping).map { group in
          var item: JSONObject = ["tensors": JSONValue(group.tensors), "raw_bytes": JSONValue(group.rawBytes)]
          item[grouping.rawValue] = group.name.map { .string($0) } ?? .null
          item["error"] = group.error.map { .number($0) }
          item["share_of_loss"] = group.shareOfLoss(loss).map { .number($0) }
          return .object(item)
        })
    }
    guard listsTensors else { return object }
    object["files"] = .array(manifest.files.map { .string($0.name.text) })
    object["provenance"] = manifest.provenance.reportJSON
    object["absent"] = .array(manifest.absent.map { .string($0) })
    object["tensor_list"] = .array(
      entries(manifest).map { entry in
        let info = Self.info(entry, shared)
        var item: JSONObject = [
          "name": .string(entry.name), "factor": .string(entry.factor.kind.rawValue), "dtype": .string(info.dtype),
          "shape": .array(info.shape.map { JSONValue($0) }),
          "raw_bytes": JSONValue(entry.rawBytes),
          "source_digest": .string(entry.source.hexadecimal),
        ]
        item["extra_rows"] = shared.entry(named: entry.name).flatMap {
          entry.extra == nil ? nil : JSONValue(info.shape[0] - $0.info.shape.dimensions[0])
        }
        item["factor_dtype"] = entry.factor.form?.dtype.map { .string($0.rawValue) }
        item["rank"] = entry.factor.form?.rank.map { JSONValue($0) }
        if let stack = entry.factor.form?.stack {
          item["stack"] = .array(stack.dimensions.map { JSONValue($0) })
          item["ranks"] = .array(stack.ranks.map { JSONValue($0) })
        }
        item["correction"] = entry.measures.map { _ in .bool(entry.correction != nil) }
        item["norm"] = entry.measures.map { .number($0.norm.value) }
        item["error"] = entry.measures.map { .number($0.error.value) }
        item["full_rank"] = entry.fullRank(info.shape).map { JSONValue($0) }
        item["share_of_loss"] = entry.shareOfLoss(loss).map { .number($0) }
        return .object(item)
      })
    return object
  }
}

/// What comes first in a list of tensors: the largest.
package enum TensorOrder: String, Sendable, CaseIterable {
  case error, bytes
}

extension ExpertReference {
  /// As `inspect --json` and `pack --json` list an expert.
  package var summaryJSON: JSONObject {
    var object: JSONObject = [
      "name": .string(name), "bytes": JSONValue(summary.bytes), "tensors": JSONValue(summary.tensors),
      "parameters": JSONValue(summary.parameters),
      "factors": JSONValue(summary.factors),
    ]
    object["correction_bytes"] = summary.correctionBytes.map { JSONValue($0) }
    object["error"] = summary.error.map { .number($0.value) }
    object["worst_error"] = summary.worstError.map { .number($0.value) }
    object["worst_tensor"] = summary.worstTensor.map { .string($0) }
    return object
  }
}

extension Provenance {
  package var reportJSON: JSONValue {
    [
      "tool": .string(tool),
      "options": JSONValue(options),
      "sources": .array(
        sources.map {
          ["name": .string($0.name), "bytes": JSONValue($0.size), "sha256": .string($0.digest.hexadecimal)]
        }),
    ]
  }
}

extension RouterManifest {
  /// As `inspect --json` lists it.
  package var reportJSON: JSONObject {
    var object: JSONObject = [
      "kind": .string(kindName), "classes": .array(classes.map { .string($0) }), "dimension": JSONValue(dimension),
    ]
    switch model {
    case .layers(let layers, let slope, let dtype):
      object["dtype"] = .string(dtype.rawValue)
      object["widths"] = .array(layers.map { JSONValue($0.outputs) })
      object["slope"] = .number(slope.value)
    case .neighbours(let own):
      object["dtype"] = .string(own.dtype.rawValue)
      object["neighbours"] = JSONValue(own.count)
      object["kept_examples"] = JSONValue(own.examples)
    }
    object["temperature"] = temperature.map { .number($0.value) }
    object["fallback_entropy"] = fallbackEntropy.map { .number($0.value) }
    object["accuracy"] = measures.accuracy.map { .number($0.value) }
    object["loss"] = measures.loss.map { .number($0.value) }
    object["examples"] = measures.examples.map { JSONValue($0) }
    object["validation"] = measures.validation.map { JSONValue($0) }
    return object
  }
}
