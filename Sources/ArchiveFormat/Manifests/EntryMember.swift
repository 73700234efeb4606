import TMPackJSON

/// A member that an entry of a manifest may have (TMP-6-3, TMP-6-6 and the table of factors), in the order of a canonical text.
enum EntryMember: Int, Sendable, CaseIterable {
  case checksum, correction, count, dense, digest, dtype, error, extra, factor, left, mask, name, norm, payload
  case positions, quantizer, rank, ranks, right, scales, shape, source, stack, values, vector

  static let names = JSONNameList(allCases.map(\.name))

  var name: String { String(describing: self) }
}

/// Some of them.
struct EntryMemberSet: Sendable, ExpressibleByArrayLiteral {
  private var bits: UInt32 = 0

  init(arrayLiteral members: EntryMember...) {
    for member in members { insert(member) }
  }

  mutating func insert(_ member: EntryMember) { bits |= 1 << UInt32(member.rawValue) }

  func union(_ other: Self) -> Self {
    var union = self
    union.bits |= other.bits
    return union
  }

  /// The first one that is not among some others.
  func first(notIn others: Self) -> EntryMember? {
    let rest = bits & ~others.bits
    return rest == 0 ? nil : EntryMember(rawValue: rest.trailingZeroBitCount)
  }
}
