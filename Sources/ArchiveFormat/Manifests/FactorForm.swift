import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// What a lossy factor is apart from its payloads: the members of a manifest entry that say how these are to be read
/// (TMP-6-10 to TMP-6-15, TMP-6-19 to TMP-6-23).
package enum FactorForm: Sendable, Hashable {
  case lowRank(rank: Int, FactorDType)
  /// TMP-6-29
  case lowRankStack(StackRanks, FactorDType)
  case sparse(count: Int, FactorDType)
  case dense(FactorDType)
  /// TMP-6-20
  case quantizedLowRank(rank: Int, Quantizer)
  /// TMP-6-21
  case quantized
  /// TMP-6-22
  case quantizedLayered(rank: Int, Quantizer)
  /// TMP-6-30
  case quantizedStack(StackRanks, dense: [Int], Quantizer)
  /// TMP-6-23
  case masked
  /// Approximated by nothing (TMP-6-19).
  case dropped

  /// What it is made of, in the order in which the payloads are placed in an archive.
  package var roles: [PayloadRole] {
    switch self {
    case .lowRank, .lowRankStack: [.left, .right, .scales]
    case .sparse: [.positions, .values, .scales]
    case .dense: [.values, .scales]
    case .quantizedLowRank, .quantized, .quantizedLayered, .quantizedStack: [.payload]
    case .masked: [.mask, .vector]
    case .dropped: []
    }
  }

  package var kind: StoredFactor.Kind {
    switch self {
    case .lowRank: .lowRank
    case .lowRankStack: .lowRankStack
    case .sparse: .sparse
    case .dense: .dense
    case .quantizedLowRank: .quantizedLowRank
    case .quantized: .quantized
    case .quantizedLayered: .quantizedLayered
    case .quantizedStack: .quantizedStack
    case .masked: .masked
    case .dropped: .dropped
    }
  }

  /// Of the numbers of its payloads; nil where they are symbols.
  package var dtype: FactorDType? {
    switch self {
    case .lowRank(_, let dtype), .lowRankStack(_, let dtype), .sparse(_, let dtype), .dense(let dtype): dtype
    case .quantizedLowRank, .quantized, .quantizedLayered, .quantizedStack, .masked, .dropped: nil
    }
  }

  /// Whether it is a message of the range coder (section 10).
  var isQuantized: Bool { roles == [.payload] }

  /// Of a low-rank factor, or of the first layer of one in two; of a stack, its matrices' largest.
  package var rank: Int? {
    switch self {
    case .lowRank(let rank, _), .quantizedLowRank(let rank, _), .quantizedLayered(let rank, _): rank
    case .lowRankStack, .quantizedStack: stack?.ranks.max()
    case .sparse, .dense, .quantized, .masked, .dropped: nil
    }
  }

  /// The rank of a factor that is a product and nothing else.
  package var productRank: Int? {
    switch self {
    case .lowRank, .quantizedLowRank: rank
    default: nil
    }
  }

  /// The matrices that a tensor is taken as; nil of one that is a matrix, or whose factor goes by elements.
  package var stack: StackRanks? {
    switch self {
    case .lowRankStack(let ranks, _), .quantizedStack(let ranks, _, _): ranks
    default: nil
    }
  }

  /// The ranks of a stack of products on a tensor [E, m, n], each with the number of the matrix that it is in; nil where it is
  /// something else, or its matrices are no rows and columns of those.
  package func productRanks(in shape: Shape) -> [(matrix: Int, rank: Int)]? {
    if case .quantizedStack(_, let dense, _) = self, !dense.isEmpty { return nil }
    let dimensions = shape.dimensions
    guard let ranks = self.stack, dimensions.count == 3,
      let stack = try? ranks.checked(against: shape, hasOthers: false),
      stack.rowStride.isMultiple(of: dimensions[2]), (stack.outer * stack.rows).isMultiple(of: dimensions[0])
    else { return nil }
    let size = dimensions[1] * dimensions[2]
    var result: [(matrix: Int, rank: Int)] = []
    for (number, rank) in ranks.ranks.enumerated() {
      let start = stack.extent(of: number).lowerBound
      let first = start + stack.rowStart(0, of: number)
      let last = start + stack.rowStart(stack.rows - 1, of: number) + (stack.columns - 1) * stack.inner
      // Within one matrix, and each row within one of its rows.
      guard first / size == last / size, first % dimensions[2] + (stack.columns - 1) * stack.inner < dimensions[2]
      else {
        return nil
      }
      result.append((first / size, rank))
    }
    return result
  }
}

extension FactorForm {
  /// The members that an entry has for it, those of the payloads among them.
  static let members: [StoredFactor.Kind: EntryMemberSet] = [
    .lowRank: [.dtype, .left, .rank, .right, .scales],
    .lowRankStack: [.dtype, .left, .ranks, .right, .scales, .stack],
    .sparse: [.count, .dtype, .positions, .scales, .values],
    .dense: [.dtype, .scales, .values],
    .quantizedLowRank: [.payload, .quantizer, .rank],
    .quantizedLayered: [.payload, .quantizer, .rank],
    .quantizedStack: [.dense, .payload, .quantizer, .ranks, .stack],
    .quantized: [.payload], .masked: [.mask, .vector], .dropped: [],
  ]

  /// - Returns: nil for a kind that is not lossy.
  init?(_ kind: StoredFactor.Kind, _ members: EntryMembers) throws(StorageError) {
    func rank() throws(StorageError) -> Int { try EntryMembers.required(members.rank, .rank) }
    func dtype() throws(StorageError) -> FactorDType {
      let text = try EntryMembers.required(members.dtype, .dtype).text
      guard let dtype = FactorDType(rawValue: text) else {
        throw StorageError(.malformed, "has the unknown factor dtype \"\(text)\"")
      }
      return dtype
    }
    // Absent for the uniform one.
    func quantizer() throws(StorageError) -> Quantizer {
      guard let text = members.quantizer?.text else { return .uniform }
      guard let quantizer = Quantizer(rawValue: text), quantizer != .uniform else {
        throw StorageError(.malformed, "has the unknown quantizer \"\(text)\"")
      }
      return quantizer
    }
    switch kind {
    case .lowRank: self = .lowRank(rank: try rank(), try dtype())
    case .lowRankStack: self = .lowRankStack(try StackRanks(members), try dtype())
    case .sparse: self = .sparse(count: try EntryMembers.required(members.count, .count), try dtype())
    case .dense: self = .dense(try dtype())
    case .quantizedLowRank: self = .quantizedLowRank(rank: try rank(), try quantizer())
    case .quantizedLayered: self = .quantizedLayered(rank: try rank(), try quantizer())
    case .quantizedStack:
      let ranks = try StackRanks(members)
      self = .quantizedStack(ranks, dense: try ranks.denseMatrices(members), try quantizer())
    case .quantized: self = .quantized
    case .masked: self = .masked
    case .dropped: self = .dropped
    case .difference, .common, .replaced, .quantizedOwn: return nil
    }
  }

  func write(to entry: inout JSONObject) {
    if let dtype { entry["dtype"] = .string(dtype.rawValue) }
    if let stack { stack.write(to: &entry) } else if let rank { entry["rank"] = JSONValue(rank) }
    switch self {
    case .sparse(let count, _): entry["count"] = JSONValue(count)
    case .quantizedStack(_, let dense, let quantizer):
      if !dense.isEmpty { entry["dense"] = .array(dense.map { JSONValue($0) }) }
      quantizer.write(to: &entry)
    case .quantizedLowRank(_, let quantizer), .quantizedLayered(_, let quantizer): quantizer.write(to: &entry)
    default: break
    }
  }
}

extension Quantizer {
  fileprivate func write(to entry: inout JSONObject) {
    if self != .uniform { entry["quantizer"] = .string(rawValue) }
  }
}
