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

  package init(_ members: EntryMembers) throws(StorageError) {
    let factor = try StoredFactor(members)
    var measures: FactorMeasures?
    if factor.isLossy {
      let norm = try EntryMembers.required(members.norm, .norm)
      let error = try EntryMembers.required(members.error, .error)
      measures = FactorMeasures(
        norm: try Measure(parsing: norm.text, "the norm"), error: try Measure(parsing: error.text, "the error"))
      guard measures!.norm.value > 0 else { throw StorageError(.malformed, "the norm is 0") }  // TMP-6-6
    }
    let extra = members.payload(.extra)
    guard extra != nil || factor.kind != .common else {
      throw StorageError(.malformed, "is in common with the shared tensor, and has no further rows")  // TMP-6-26
    }
    self.init(
      name: members.name.text, source: try EntryMembers.required(members.source, .source).asDigest("the source digest"),
      factor: factor, measures: measures, correction: members.payload(.correction), extra: extra)
  }

  /// Throws `malformed` unless it goes with the shared tensor of that name, if there is one.
  fileprivate func check(against shared: TensorInfo?) throws(StorageError) {
    try factor.check(against: shared, name: name)
    if let correction, correction.size != shared?.byteCount {
      throw StorageError(.malformed, "the correction has \(correction.size) bytes, which do not fit the tensor")
    }
    if let extra { _ = try shared?.extended(by: extra.size) }
  }

  /// Symbols that the payloads decode to.
  ///
  /// - Parameter shared: of the shared tensor of that name, if there is one.
  fileprivate func symbolCount(in shared: TensorInfo?) throws(StorageError) -> Int {
    guard let shape = factor.own?.shape ?? shared?.shape else { return 0 }
    switch factor.form {
    case nil where factor.kind == .quantizedOwn: return shape.elementCount
    case .quantized: return shape.elementCount
    case .masked: return try shape.elementCount.multiplied(by: 2, "the number of symbols")
    case .quantizedStack(let ranks, let dense, _):
      return try ranks.symbolCount(in: shape, dense: dense.count)
    case .quantizedLowRank(let rank, _), .quantizedLayered(let rank, _):
      guard let (rows, columns) = shape.matrix else { return 0 }
      let components = try rank.multiplied(
        by: try rows.adding(columns, "the sides of a matrix"), "the number of symbols")
      let isLayered = factor.kind == .quantizedLayered
      return try components.adding(isLayered ? shape.elementCount : 0, "the number of symbols")
    default: return 0
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

extension ExpertEntry: ManifestEntry {}

/// The table of contents of one expert's section (TMP-6).
package struct ExpertManifest: Sendable {
  /// Without the unchanged ones.
  package private(set) var tensors: EntryList<ExpertEntry>
  /// Shared tensors that the expert lacks (TMP-6-5), sorted.
  package let absent: [String]
  package private(set) var files: [CarriedFileEntry]
  package let metadata: [String: String]
  package let provenance: Provenance
  /// What there is among the entries.
  private let content: Content
  private(set) var text: ManifestText?

  private struct Content {
    var hasCorrections = false
    /// The first lossy entry without a correction.
    var firstBare: String?
    /// What a reader has to know to read them.
    var required: Set<RequiredFeature> = []
    /// Names of those whose tensors are not of a shared tensor's dtype and shape, or need not be.
    var unlikeShared: [String] = []

    mutating func add(_ entry: ExpertEntry) {
      if entry.correction != nil { hasCorrections = true }
      if firstBare == nil, entry.factor.isLossy, entry.correction == nil { firstBare = entry.name }
      if entry.extra != nil { required.insert(.extraRows) }
      if entry.extra != nil || entry.factor.own != nil { unlikeShared.append(entry.name) }
      if entry.factor.form?.stack != nil { required.insert(.stacks) }
      if entry.factor.kind == .quantizedOwn { required.insert(.quantizedOwn) }
    }
  }

  package init(
    tensors: [ExpertEntry], absent: [String], files: [CarriedFileEntry], metadata: [String: String],
    provenance: Provenance
  ) {
    self.tensors = EntryList(tensors)
    self.absent = absent
    self.files = files
    self.metadata = metadata
    self.provenance = provenance
    content = tensors.reduce(into: Content()) { $0.add($1) }
  }

  /// The entry of that name; nil for unchanged and absent tensors. O(log n).
  package func entry(named name: String) -> ExpertEntry? {
    tensors.index(ofName: name).map { tensors[$0] }
  }

  /// Whether there is an entry of that name. O(log n).
  package func holds(_ name: String) -> Bool { tensors.index(ofName: name) != nil }

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
  package var required: Set<RequiredFeature> { content.required }

  /// The tensors that are not of a shared tensor's dtype and shape, or need not be: with further rows, and those that stand by themselves.
  package var unlikeShared: [String] { content.unlikeShared }

  /// Whether any entry has a correction (TMP-6-17).
  package var hasCorrections: Bool { content.hasCorrections }

  /// Whether the expert can be rebuilt to the bit: nothing is lossy, or everything that is has a correction (TMP-6-18).
  package var isExact: Bool { content.firstBare == nil }

  /// The same without corrections.
  func withoutCorrections() -> ExpertManifest {
    let tensors = tensors.map { entry in
      var entry = entry
      entry.correction = nil
      return entry
    }
    return ExpertManifest(
      tensors: tensors, absent: absent, files: files, metadata: metadata, provenance: provenance)
  }
}

extension ExpertManifest: SectionManifest {
  static let what = "the expert manifest"
  static let lists = [LongList.absent, .tensors]

  init(parsing text: ManifestText, context shared: SharedManifest, _ ledger: inout PayloadLedger) throws(StorageError) {
    var absent: [String]?
    var common: CommonManifest?
    var tensors: EntryList<ExpertEntry>?
    var content = Content()
    let object = try text.withBytes { raw throws(StorageError) in
      try CanonicalText(parsing: raw, Self.what, lists: Self.lists) { list, object, reader throws(StorageError) in
        guard list == LongList.tensors.member else {
          let names = try Self.absent(reading: &reader)
          absent = names
          return names.count
        }
        common = try CommonManifest(object, kind: "expert", &ledger)
        var place = 0
        let entries = try EntryList<ExpertEntry>(reading: &reader, in: text, "the expert's tensors") {
          entry, members throws(StorageError) in
          let info = shared.info(named: entry.name, from: &place)
          try entry.check(against: info)
          try members.forEachPayload { payload throws(StorageError) in try ledger.add(payload) }
          try ledger.add(symbols: try entry.symbolCount(in: info))
          content.add(entry)
        }
        tensors = entries
        return entries.count
      }
    }
    try object.object.allowOnly(SharedManifest.members + ["absent"], in: Self.what)
    guard let common, let tensors else { throw object.missing(.tensors) }
    guard let absent else { throw object.missing(.absent) }
    (files, metadata, provenance) = (common.files, common.metadata, common.provenance)
    (self.tensors, self.absent, self.content, self.text) = (tensors, absent, content, text)
    for name in absent {  // TMP-6-5
      guard shared.holds(name), !holds(name) else {
        throw StorageError(.malformed, "is absent, but not a shared tensor or stored all the same", tensor: name)
      }
    }
    if content.hasCorrections { try checkFrames(count: ledger.frames.count, firstBare: content.firstBare) }
  }

  private static func absent(reading reader: inout JSONReader) throws(StorageError) -> [String] {
    var names: [String] = []
    try reader.beginArray()
    while try reader.nextElement() {
      names.append(try reader.canonicalString("an absent tensor's name").text)
    }
    try names.checkSorted("the absent tensors")
    return names
  }

  var json: JSONValue {
    var object = CommonManifest(files: files, metadata: metadata, provenance: provenance)
      .object(kind: "expert", tensors: tensors.map(\.json))
    object["absent"] = .array(absent.map { .string($0) })
    return .object(object)
  }

  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    for index in files.indices { files[index].payload = try body(files[index].payload) }
    tensors = EntryList(
      try tensors.map { entry throws(Failure) in
        var entry = entry
        try entry.mapPayloads(body)
        return entry
      })
    text = nil
  }
}
