import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// How one tensor of one expert is stored: the members of a manifest entry that depend on the factor (TMP-6-8 to TMP-6-15).
package enum StoredFactor: Sendable, Hashable {
  case lossy(FactorLayout<PayloadReference>)
  case difference(payload: PayloadReference)
  /// The shared tensor's rows, and further ones (TMP-6-26).
  case common
  case replaced(dtype: DType, shape: Shape, payload: PayloadReference)
  /// Of a tensor that only the expert has (TMP-6-33).
  case quantizedOwn(dtype: DType, shape: Shape, payload: PayloadReference)

  package enum Kind: String, Sendable, CaseIterable {
    case lowRank = "low-rank"
    case lowRankStack = "low-rank-stack"
    case sparse
    case dense
    case quantizedLowRank = "quantized-low-rank"
    case quantized
    case quantizedLayered = "quantized-layered"
    case quantizedStack = "quantized-stack"
    case masked
    case dropped
    case difference
    case common
    case replaced
    case quantizedOwn = "quantized-own"
  }

  package var kind: Kind {
    switch self {
    case .lossy(let layout): layout.form.kind
    case .difference: .difference
    case .common: .common
    case .replaced: .replaced
    case .quantizedOwn: .quantizedOwn
    }
  }

  /// nil of what is exact, or stands by itself.
  package var form: FactorForm? {
    if case .lossy(let layout) = self { layout.form } else { nil }
  }

  package var isLossy: Bool { form != nil || kind == .quantizedOwn }

  /// Dtype and shape of a tensor that stands by itself; nil of one that is stored against a shared tensor.
  package var own: (dtype: DType, shape: Shape)? {
    switch self {
    case .replaced(let dtype, let shape, _), .quantizedOwn(let dtype, let shape, _): (dtype, shape)
    case .lossy, .difference, .common: nil
    }
  }

  /// Whether it is a message of the range coder (section 10).
  package var isQuantized: Bool { form?.isQuantized ?? (kind == .quantizedOwn) }

  /// In the order of the canonical manifest (TMP-5-9).
  package var payloads: [PayloadReference] {
    switch self {
    case .lossy(let layout): layout.canonicalPayloads
    case .difference(let payload), .replaced(_, _, let payload), .quantizedOwn(_, _, let payload): [payload]
    case .common: []
    }
  }

  /// Calls `body` with each payload, in that order, and keeps what it makes of it.
  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    switch self {
    case .lossy(var layout):
      try layout.mapPayloads(body)
      self = .lossy(layout)
    case .difference(let payload): self = .difference(payload: try body(payload))
    case .replaced(let dtype, let shape, let payload):
      self = .replaced(dtype: dtype, shape: shape, payload: try body(payload))
    case .quantizedOwn(let dtype, let shape, let payload):
      self = .quantizedOwn(dtype: dtype, shape: shape, payload: try body(payload))
    case .common: break
    }
  }
}

extension StoredFactor {
  /// Those that an entry of each kind may have.
  private static let members: [Kind: EntryMemberSet] = {
    let common: EntryMemberSet = [.factor, .name, .source]
    let lossy = common.union([.correction, .error, .extra, .norm])
    return FactorForm.members.mapValues(lossy.union).merging(
      [
        .difference: common.union([.extra, .payload]), .common: common.union([.extra]),
        .replaced: common.union([.dtype, .payload, .shape]),
        .quantizedOwn: common.union([.dtype, .error, .norm, .payload, .shape]),
      ], uniquingKeysWith: { $1 })
  }()

  /// - Parameter entry: the whole entry; the members common to all factors are skipped.
  init(_ entry: EntryMembers) throws(StorageError) {
    let kindName = try EntryMembers.required(entry.factor, .factor).text
    guard let kind = Kind(rawValue: kindName), let members = Self.members[kind] else {
      throw StorageError(.malformed, "has the unknown factor \"\(kindName)\"")
    }
    func payload(_ role: PayloadRole) throws(StorageError) -> PayloadReference {
      try EntryMembers.required(entry.payload(role.member), role.member)
    }
    try entry.allowOnly(members)
    if let form = try FactorForm(kind, entry) {
      self = .lossy(try FactorLayout(form, payload))
    } else if kind == .replaced || kind == .quantizedOwn {
      let (dtype, shape) = (try DType(entry), try Shape(EntryMembers.required(entry.shape, .shape)))
      self =
        kind == .replaced
        ? .replaced(dtype: dtype, shape: shape, payload: try payload(.payload))
        : .quantizedOwn(dtype: dtype, shape: shape, payload: try payload(.payload))
    } else {
      self = kind == .common ? .common : .difference(payload: try payload(.payload))
    }
  }

  func write(to entry: inout JSONObject) {
    entry["factor"] = .string(kind.rawValue)
    switch self {
    case .lossy(let layout):
      layout.form.write(to: &entry)
      for role in layout.form.roles { entry[role.rawValue] = layout[role].json }
    case .difference(let payload): entry["payload"] = payload.json
    case .common: break
    case .replaced(let dtype, let shape, let payload), .quantizedOwn(let dtype, let shape, let payload):
      entry["dtype"] = .string(dtype.rawValue)
      entry["shape"] = shape.json
      entry["payload"] = payload.json
    }
  }
}

extension PayloadRole {
  fileprivate var member: EntryMember {
    switch self {
    case .left: .left
    case .right: .right
    case .scales: .scales
    case .positions: .positions
    case .values: .values
    case .payload: .payload
    case .mask: .mask
    case .vector: .vector
    }
  }
}
