import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// What a lossy factor lost (TMP-6-6).
package struct FactorMeasures: Sendable, Hashable {
  /// ‖v‖, the Frobenius norm of the exclusive vector.
  package let norm: Measure
  /// ‖v − decoded‖ ÷ ‖v‖.
  package let error: Measure

  package init(norm: Measure, error: Measure) {
    self.norm = norm
    self.error = error
  }

  /// As they are recorded of a factor: where it takes some dozen bytes, the measures must not.
  package func recorded(of factor: StoredFactor) -> FactorMeasures {
    factor.isQuantized ? FactorMeasures(norm: norm.shortened, error: error.shortened) : self
  }
}

/// One tensor of one expert that is not the shared model's.
package struct ExpertEntry: Sendable, Hashable {
  package let name: String
  /// Of the expert's own tensor bytes.
  package let source: ContentDigest
  package var factor: StoredFactor
  /// For lossy factors.
  package let measures: FactorMeasures?
  /// What a lossy factor lost, to the bit (TMP-6-17).
  package var correction: PayloadReference?
  /// The rows that the expert's tensor has beyond the shared one's (TMP-6-25).
  package var extra: PayloadReference?

  package init(
    name: String, source: ContentDigest, factor: StoredFactor, measures: FactorMeasures?,
    correction: PayloadReference? = nil,
    extra: PayloadReference? = nil
  ) {
    precondition(factor.isLossy == (measures != nil), "lossy factors are measured")
    precondition(factor.isLossy || correction == nil, "only lossy factors are corrected")
    precondition(extra != nil || factor.kind != .common, "what is all in common is unchanged")
    precondition(extra == nil || factor.own == nil, "a whole tensor has all its rows")
    self.extra = extra
    self.correction = correction
    self.name = name
    self.source = source
    self.factor = factor
    self.measures = measures
  }

  init(json: JSONValue, shared: SharedManifest) throws(StorageError) {
    let object = try json.asObject("a tensor")
    let name = try object.required("name", of: "a tensor").asString("a tensor's name")
    self = try located(tensor: name) { () throws(StorageError) in
      let factor = try StoredFactor(entry: object, name: name)
      let info = shared.info(named: name)
      try factor.check(against: info, name: name)
      var measures: FactorMeasures?
      var correction: PayloadReference?
      if factor.isLossy {
        correction = try object["correction"].map { value throws(StorageError) in
          try PayloadReference(json: value, "the payload \"correction\"")
        }
        if let correction, correction.size != info?.byteCount {
          throw StorageError(.malformed, "the correction has \(correction.size) bytes, which do not fit the tensor")
        }
        measures = FactorMeasures(
          norm: try Measure(json: try object.required("norm", of: "the entry"), "the norm"),
          error: try Measure(json: try object.required("error", of: "the entry"), "the error"))
        guard measures!.norm.value > 0 else { throw StorageError(.malformed, "the norm is 0") }  // TMP-6-6
      }
      let extra = try object["extra"].map { value throws(StorageError) in
        try PayloadReference(json: value, "the payload \"extra\"")
      }
      guard extra != nil || factor.kind != .common else {
        throw StorageError(.malformed, "is in common with the shared tensor, and has no further rows")  // TMP-6-26
      }
      if let extra { _ = try info?.extended(by: extra.size) }
      let source = try object.required("source", of: "the entry").asDigest("the source digest")
      return ExpertEntry(
        name: name, source: source, factor: factor, measures: measures, correction: correction, extra: extra)
    }
  }

  var json: JSONValue {
    var object: JSONObject = ["name": .string(name), "source": .string(source.hexadecimal)]
    if let measures {
      object["norm"] = measures.norm.json
      object["error"] = measures.error.json
    }
    object["correction"] = correction?.json
    object["extra"] = extra?.json
    factor.write(to: &object)
    return .object(object)
  }

  /// All payloads, in the order of the canonical manifest.
  package var payloads: [PayloadReference] { [correction].compactMap { $0 } + content }

  /// All but the correction.
  package var content: [PayloadReference] { [extra].compactMap { $0 } + factor.payloads }

  /// The expert's tensor, if it is stored against the shared one.
  ///
  /// - Parameter shared: of the shared tensor of that name.
  package func info(against shared: TensorInfo) -> TensorInfo {
    guard let extra else { return shared }
    guard let info = try? shared.extended(by: extra.size) else {
      preconditionFailure("the manifest was checked (TMP-6-25)")
    }
    return info
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    if let payload = correction { correction = try body(payload) }
    if let payload = extra { extra = try body(payload) }
    try factor.mapPayloads(body)
  }
}

/// The table of contents of one expert's section (TMP-6).
package struct ExpertManifest: Sendable {
  /// Without the unchanged ones.
  package var tensors: [ExpertEntry]
  /// Shared tensors that the expert lacks (TMP-6-5), sorted.
  package var absent: [String]
  package var files: [CarriedFileEntry]
  package var metadata: [String: String]
  package var provenance: Provenance

  package init(
    tensors: [ExpertEntry], absent: [String], files: [CarriedFileEntry], metadata: [String: String],
    provenance: Provenance
  ) {
    self.tensors = tensors
    self.absent = absent
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
  }

  /// The entry of that name; nil for unchanged and absent tensors. O(log n).
  package func entry(named name: String) -> ExpertEntry? {
    index(of: name).map { tensors[$0] }
  }

  private func index(of name: String) -> Int? { tensors.index(ofName: name) { $0.pointee.name } }

  /// Whether there is an entry of that name. O(log n).
  package func holds(_ name: String) -> Bool { index(of: name) != nil }

  /// Whether the expert has no tensor of that name although the shared model has. O(log n).
  package func lacks(_ name: String) -> Bool {
    absent.index(ofName: name) { $0.pointee } != nil
  }
}

extension TensorInfo {
  /// The tensor with further rows, which have so many bytes.
  ///
  /// - Throws: `malformed` for bytes that are no rows, or a tensor that none can be put behind (TMP-6-25).
  fileprivate func extended(by extra: Int) throws(StorageError) -> TensorInfo {
    guard dtype.floatFormat != nil, let rows = shape.dimensions.first, byteCount > 0 else {
      throw StorageError(.malformed, "has further rows than a shared tensor of \(dtype.rawValue) \(shape)")
    }
    let row = byteCount / rows
    guard extra > 0, extra.isMultiple(of: row) else {
      throw StorageError(.malformed, "the further rows have \(extra) bytes; a row has \(row)")
    }
    let all = try rows.adding(extra / row, "the number of rows")
    return try TensorInfo(name: name, dtype: dtype, shape: Shape([all] + shape.dimensions.dropFirst()))
  }
}

extension ExpertManifest {
  /// What a reader has to know to read it.
  package var required: Set<RequiredFeature> {
    var features: Set<RequiredFeature> = []
    if tensors.contains(where: { $0.extra != nil }) { features.insert(.extraRows) }
    if tensors.contains(where: { $0.factor.form?.stack != nil }) { features.insert(.stacks) }
    if tensors.contains(where: { $0.factor.kind == .quantizedOwn }) { features.insert(.quantizedOwn) }
    return features
  }
}

extension ExpertManifest: SectionManifest {
  /// An entropy-coded symbol may take next to nothing in the payload, and two bytes in memory.
  func symbolBytes(in shared: SharedManifest) throws(StorageError) -> UInt64 {
    var symbols = 0
    for entry in tensors {
      guard let shape = entry.factor.own?.shape ?? shared.info(named: entry.name)?.shape else { continue }
      let count: Int
      switch entry.factor.form {
      case nil where entry.factor.kind == .quantizedOwn: count = shape.elementCount
      case .quantized: count = shape.elementCount
      case .masked: count = try shape.elementCount.multiplied(by: 2, "the number of symbols")
      case .quantizedStack(let ranks, let dense, _):
        count = try ranks.symbolCount(in: shape, dense: dense.count)
      case .quantizedLowRank(let rank, _), .quantizedLayered(let rank, _):
        guard let (rows, columns) = shape.matrix else { continue }
        let components = try rank.multiplied(
          by: try rows.adding(columns, "the sides of a matrix"), "the number of symbols")
        let isLayered = entry.factor.kind == .quantizedLayered
        count = try components.adding(isLayered ? shape.elementCount : 0, "the number of symbols")
      default: continue
      }
      symbols = try symbols.adding(count, "the number of symbols")
    }
    return try UInt64(symbols).multiplied(by: 2, "the size of the symbols")
  }

  static let what = "the expert manifest"
  static let lists: Set = ["absent", "tensors"]

  init(_ text: CanonicalText, context shared: SharedManifest) throws(StorageError) {
    try text.object.allowOnly(SharedManifest.members + ["absent"], in: Self.what)
    let common = try CommonManifest(text.object, kind: "expert")
    files = common.files
    metadata = common.metadata
    provenance = common.provenance
    // TMP-9-4
    tensors = try text.elements(of: "tensors", atMost: Limits.tensors, "tensors") { value throws(StorageError) in
      try ExpertEntry(json: value, shared: shared)
    }
    try tensors.lazy.map(\.name).checkSorted("the expert's tensors")
    absent = try text.elements(of: "absent", atMost: Limits.tensors, "absent tensors") { value throws(StorageError) in
      try value.asString("an absent tensor's name")
    }
    try absent.checkSorted("the absent tensors")
    for name in absent {  // TMP-6-5
      guard shared.holds(name), !holds(name) else {
        throw StorageError(.malformed, "is absent, but not a shared tensor or stored all the same", tensor: name)
      }
    }
  }

  var json: JSONValue {
    var object = CommonManifest(files: files, metadata: metadata, provenance: provenance)
      .object(kind: "expert", tensors: tensors.map(\.json))
    object["absent"] = .array(absent.map { .string($0) })
    return .object(object)
  }

  func forEachPayload<Failure>(_ body: (PayloadReference) throws(Failure) -> Void) throws(Failure) {
    for file in files { try body(file.payload) }
    for entry in tensors { for payload in entry.payloads { try body(payload) } }
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    for index in files.indices { files[index].payload = try body(files[index].payload) }
    for index in tensors.indices { try tensors[index].mapPayloads(body) }
  }
}
