import TMPackByteIO
import TMPackJSON

/// The members of one entry of a manifest as the canonical text has them, each of the kind of value that it is to be. What strings
/// say, and which members go together, is for who makes an entry of them.
///
/// Strings stay where they are in the text, which must outlive this.
package struct EntryMembers {
  private(set) var present: EntryMemberSet = []
  private(set) var checksum: JSONString?
  private(set) var digest: JSONString?
  private(set) var dtype: JSONString?
  private(set) var error: JSONString?
  private(set) var factor: JSONString?
  private(set) var norm: JSONString?
  private(set) var quantizer: JSONString?
  private(set) var source: JSONString?
  private(set) var count: Int?
  private(set) var rank: Int?
  private(set) var dense: [Int]?
  private(set) var ranks: [Int]?
  private(set) var shape: [Int]?
  private(set) var stack: [Int]?
  private var ownName: JSONString?
  private var correction: PayloadReference?
  private var extra: PayloadReference?
  private var left: PayloadReference?
  private var mask: PayloadReference?
  private var payload: PayloadReference?
  private var positions: PayloadReference?
  private var right: PayloadReference?
  private var scales: PayloadReference?
  private var values: PayloadReference?
  private var vector: PayloadReference?

  /// Reads an entry, which is to have a name.
  init(reading reader: inout JSONReader) throws(StorageError) {
    try reader.beginObject("a tensor")
    var last: Int?
    while let number = try reader.nextCanonicalMember(of: EntryMember.names, after: &last, in: "the entry") {
      guard let member = EntryMember(rawValue: number) else { preconditionFailure("a name of the list") }
      present.insert(member)
      try read(member, &reader)
    }
    _ = try Self.required(ownName, .name)
  }

  private mutating func read(_ member: EntryMember, _ reader: inout JSONReader) throws(StorageError) {
    switch member {
    case .checksum: checksum = try reader.canonicalString("the checksum")
    case .digest: digest = try reader.canonicalString("the digest")
    case .dtype: dtype = try reader.canonicalString("the dtype")
    case .error: error = try reader.canonicalString("the error")
    case .factor: factor = try reader.canonicalString("the factor")
    case .name: ownName = try reader.canonicalString("a tensor's name")
    case .norm: norm = try reader.canonicalString("the norm")
    case .quantizer: quantizer = try reader.canonicalString("the quantizer")
    case .source: source = try reader.canonicalString("the source digest")
    case .count: count = try reader.canonicalCount("the count")
    case .rank: rank = try reader.canonicalCount("the rank")
    case .dense: dense = try reader.canonicalCounts("the dense matrices", atMost: Limits.stackedMatrices)
    case .ranks: ranks = try reader.canonicalCounts("the ranks", atMost: Limits.stackedMatrices)
    case .shape: shape = try reader.canonicalCounts("the dimensions", atMost: Limits.dimensions)
    case .stack: stack = try reader.canonicalCounts("the stack", atMost: 5)
    case .correction: correction = try Self.payload(member, &reader)
    case .extra: extra = try Self.payload(member, &reader)
    case .left: left = try Self.payload(member, &reader)
    case .mask: mask = try Self.payload(member, &reader)
    case .payload: payload = try Self.payload(member, &reader)
    case .positions: positions = try Self.payload(member, &reader)
    case .right: right = try Self.payload(member, &reader)
    case .scales: scales = try Self.payload(member, &reader)
    case .values: values = try Self.payload(member, &reader)
    case .vector: vector = try Self.payload(member, &reader)
    }
  }

  private static func payload(
    _ member: EntryMember, _ reader: inout JSONReader
  ) throws(StorageError) -> PayloadReference {
    try PayloadReference(reading: &reader, "the payload \"\(member.name)\"")
  }

  /// Calls `body` with each payload in the order of the text, in which they come by their frames (TMP-5-9).
  func forEachPayload(_ body: (PayloadReference) throws(StorageError) -> Void) throws(StorageError) {
    if let correction { try body(correction) }
    if let extra { try body(extra) }
    if let left { try body(left) }
    if let mask { try body(mask) }
    if let payload { try body(payload) }
    if let positions { try body(positions) }
    if let right { try body(right) }
    if let scales { try body(scales) }
    if let values { try body(values) }
    if let vector { try body(vector) }
  }

  var name: JSONString {
    guard let ownName else { preconditionFailure("an entry has a name") }
    return ownName
  }

  /// nil where the entry has no such member, or it is no payload.
  func payload(_ member: EntryMember) -> PayloadReference? {
    switch member {
    case .correction: correction
    case .extra: extra
    case .left: left
    case .mask: mask
    case .payload: payload
    case .positions: positions
    case .right: right
    case .scales: scales
    case .values: values
    case .vector: vector
    default: nil
    }
  }

  /// - Throws: `malformed`, naming the member, where there is none.
  static func required<Value>(_ value: Value?, _ member: EntryMember) throws(StorageError) -> Value {
    guard let value else { throw JSONObject.missingMember(member.name, of: "the entry") }
    return value
  }

  /// Throws `malformed` for an entry with other members.
  func allowOnly(_ members: EntryMemberSet) throws(StorageError) {
    guard let unknown = present.first(notIn: members) else { return }
    throw JSONObject.unknownMember(unknown.name, of: "the entry")
  }
}
