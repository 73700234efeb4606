import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// How one tensor of one expert is stored: the members of a manifest entry that depend on the factor (TMP-6-8 to TMP-6-15).
package enum StoredFactor: Sendable, Hashable {
  case lowRank(
    rank: Int, dtype: FactorDType, left: PayloadReference, right: PayloadReference, scales: PayloadReference)
  /// TMP-6-29
  case lowRankStack(
    StackRanks, dtype: FactorDType, left: PayloadReference, right: PayloadReference, scales: PayloadReference)
  case sparse(
    count: Int, dtype: FactorDType, positions: PayloadReference, values: PayloadReference, scales: PayloadReference)
  case dense(dtype: FactorDType, values: PayloadReference, scales: PayloadReference)
  /// TMP-6-20
  case quantizedLowRank(rank: Int, quantizer: Quantizer, payload: PayloadReference)
  /// TMP-6-21
  case quantized(payload: PayloadReference)
  /// TMP-6-22
  case quantizedLayered(rank: Int, quantizer: Quantizer, payload: PayloadReference)
  /// TMP-6-30
  case quantizedStack(StackRanks, dense: [Int], quantizer: Quantizer, payload: PayloadReference)
  /// TMP-6-23
  case masked(mask: PayloadReference, vector: PayloadReference)
  /// Approximated by nothing (TMP-6-19).
  case dropped
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
    case .difference: .difference
    case .common: .common
    case .replaced: .replaced
    case .quantizedOwn: .quantizedOwn
    }
  }

  /// Of a low-rank factor, or of the first layer of one in two; of a stack, its matrices' largest.
  package var rank: Int? {
    switch self {
    case .lowRank(let rank, _, _, _, _), .quantizedLowRank(let rank, _, _), .quantizedLayered(let rank, _, _): rank
    case .lowRankStack(let ranks, _, _, _, _), .quantizedStack(let ranks, _, _, _): ranks.ranks.max()
    case .sparse, .dense, .quantized, .quantizedOwn, .masked, .dropped, .difference, .common, .replaced: nil
    }
  }

  /// The rank of a factor that is a product and nothing else.
  package var productRank: Int? {
    switch self {
    case .lowRank, .quantizedLowRank: rank
    default: nil
    }
  }

  /// The ranks of a stack of products on a tensor [E, m, n], each with the number of the matrix that it is in; nil where it is
  /// something else, or its matrices are no rows and columns of those.
  package func productRanks(in shape: Shape) -> [(matrix: Int, rank: Int)]? {
    let ranks: StackRanks
    switch self {
    case .lowRankStack(let own, _, _, _, _): ranks = own
    case .quantizedStack(let own, let dense, _, _) where dense.isEmpty: ranks = own
    default: return nil
    }
    let dimensions = shape.dimensions
    guard dimensions.count == 3, let stack = try? ranks.checked(against: shape, hasOthers: false),
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

  /// The matrices that a tensor is taken as; nil of one that is a matrix, or whose factor goes by elements.
  package var stack: StackRanks? {
    switch self {
    case .lowRankStack(let ranks, _, _, _, _), .quantizedStack(let ranks, _, _, _): ranks
    default: nil
    }
  }

  /// Dtype and shape of a tensor that stands by itself; nil of one that is stored against a shared tensor.
  package var own: (dtype: DType, shape: Shape)? {
    switch self {
    case .replaced(let dtype, let shape, _), .quantizedOwn(let dtype, let shape, _): (dtype, shape)
    default: nil
    }
  }

  /// Whether it is a message of the range coder (section 10).
  package var isQuantized: Bool {
    switch self {
    case .quantizedLowRank, .quantized, .quantizedLayered, .quantizedStack, .quantizedOwn: true
    default: false
    }
  }

  package var isLossy: Bool {
    switch self {
    case .lowRank, .lowRankStack, .sparse, .dense, .quantizedLowRank, .quantized, .quantizedLayered, .quantizedStack,
      .quantizedOwn, .masked, .dropped:
      true
    case .difference, .common, .replaced: false
    }
  }

  /// Calls `body` with each payload, in the order of the canonical manifest (TMP-5-9), and keeps what it makes of it.
  mutating func mapPayloads<Failure>(_ body: (PayloadReference) throws(Failure) -> PayloadReference) throws(Failure) {
    switch self {
    case .lowRank(let rank, let dtype, let left, let right, let scales):
      self = .lowRank(rank: rank, dtype: dtype, left: try body(left), right: try body(right), scales: try body(scales))
    case .lowRankStack(let ranks, let dtype, let left, let right, let scales):
      self = .lowRankStack(
        ranks, dtype: dtype, left: try body(left), right: try body(right), scales: try body(scales))
    case .sparse(let count, let dtype, var positions, var values, var scales):
      positions = try body(positions)
      scales = try body(scales)
      values = try body(values)
      self = .sparse(count: count, dtype: dtype, positions: positions, values: values, scales: scales)
    case .dense(let dtype, var values, var scales):
      scales = try body(scales)
      values = try body(values)
      self = .dense(dtype: dtype, values: values, scales: scales)
    case .quantizedLowRank(let rank, let quantizer, let payload):
      self = .quantizedLowRank(rank: rank, quantizer: quantizer, payload: try body(payload))
    case .quantized(let payload): self = .quantized(payload: try body(payload))
    case .quantizedLayered(let rank, let quantizer, let payload):
      self = .quantizedLayered(rank: rank, quantizer: quantizer, payload: try body(payload))
    case .quantizedStack(let ranks, let dense, let quantizer, let payload):
      self = .quantizedStack(ranks, dense: dense, quantizer: quantizer, payload: try body(payload))
    case .masked(let mask, let vector): self = .masked(mask: try body(mask), vector: try body(vector))
    case .dropped, .common: break
    case .difference(let payload): self = .difference(payload: try body(payload))
    case .replaced(let dtype, let shape, let payload):
      self = .replaced(dtype: dtype, shape: shape, payload: try body(payload))
    case .quantizedOwn(let dtype, let shape, let payload):
      self = .quantizedOwn(dtype: dtype, shape: shape, payload: try body(payload))
    }
  }

  package var payloads: [PayloadReference] {
    switch self {
    case .lowRank(_, _, let left, let right, let scales), .lowRankStack(_, _, let left, let right, let scales):
      [left, right, scales]
    case .sparse(_, _, let positions, let values, let scales): [positions, scales, values]
    case .dense(_, let values, let scales): [scales, values]
    case .quantizedLowRank(_, _, let payload), .quantized(let payload), .quantizedLayered(_, _, let payload),
      .quantizedStack(_, _, _, let payload), .difference(let payload), .replaced(_, _, let payload),
      .quantizedOwn(_, _, let payload):
      [payload]
    case .masked(let mask, let vector): [mask, vector]
    case .dropped, .common: []
    }
  }
}

extension StoredFactor {
  /// Those that an entry of each kind may have.
  private static let members: [Kind: Set<String>] = {
    let common: Set = ["factor", "name", "source"]
    let lossy = common.union(["correction", "error", "extra", "norm"])
    return [
      .lowRank: lossy.union(["dtype", "left", "rank", "right", "scales"]),
      .lowRankStack: lossy.union(["dtype", "left", "ranks", "right", "scales", "stack"]),
      .sparse: lossy.union(["count", "dtype", "positions", "scales", "values"]),
      .dense: lossy.union(["dtype", "scales", "values"]),
      .quantizedLowRank: lossy.union(["payload", "quantizer", "rank"]),
      .quantizedLayered: lossy.union(["payload", "quantizer", "rank"]),
      .quantizedStack: lossy.union(["dense", "payload", "quantizer", "ranks", "stack"]),
      .quantized: lossy.union(["payload"]), .masked: lossy.union(["mask", "vector"]), .dropped: lossy,
      .difference: common.union(["extra", "payload"]), .common: common.union(["extra"]),
      .replaced: common.union(["dtype", "payload", "shape"]),
      .quantizedOwn: common.union(["dtype", "error", "norm", "payload", "shape"]),
    ]
  }()

  /// - Parameter entry: the whole entry; the members common to all factors are skipped.
  init(entry: JSONObject, name: String) throws(StorageError) {
    let kindName = try entry.required("factor", of: "the entry").asString("the factor")
    guard let kind = Kind(rawValue: kindName) else {
      throw StorageError(.malformed, "has the unknown factor \"\(kindName)\"")
    }
    func payload(_ member: String) throws(StorageError) -> PayloadReference {
      try PayloadReference(json: try entry.required(member, of: "the entry"), "the payload \"\(member)\"")
    }
    func factorDType() throws(StorageError) -> FactorDType {
      let text = try entry.required("dtype", of: "the entry").asString("the dtype")
      guard let dtype = FactorDType(rawValue: text) else {
        throw StorageError(.malformed, "has the unknown factor dtype \"\(text)\"")
      }
      return dtype
    }
    // Absent for the uniform one.
    func quantizer() throws(StorageError) -> Quantizer {
      guard let text = try entry["quantizer"]?.asString("the quantizer") else { return .uniform }
      guard let quantizer = Quantizer(rawValue: text), quantizer != .uniform else {
        throw StorageError(.malformed, "has the unknown quantizer \"\(text)\"")
      }
      return quantizer
    }
    try entry.allowOnly(Self.members[kind]!, in: "the entry")
    switch kind {
    case .lowRank:
      let rank = try entry.required("rank", of: "the entry").asCount("the rank")
      self = .lowRank(
        rank: rank, dtype: try factorDType(), left: try payload("left"), right: try payload("right"),
        scales: try payload("scales"))
    case .lowRankStack:
      self = .lowRankStack(
        try StackRanks(entry: entry), dtype: try factorDType(), left: try payload("left"), right: try payload("right"),
        scales: try payload("scales"))
    case .quantizedStack:
      let ranks = try StackRanks(entry: entry)
      self = .quantizedStack(
        ranks, dense: try ranks.denseMatrices(entry: entry), quantizer: try quantizer(),
        payload: try payload("payload"))
    case .sparse:
      let count = try entry.required("count", of: "the entry").asCount("the count")
      self = .sparse(
        count: count, dtype: try factorDType(), positions: try payload("positions"), values: try payload("values"),
        scales: try payload("scales"))
    case .dense:
      self = .dense(dtype: try factorDType(), values: try payload("values"), scales: try payload("scales"))
    case .quantizedLowRank, .quantizedLayered:
      let rank = try entry.required("rank", of: "the entry").asCount("the rank")
      self =
        kind == .quantizedLowRank
        ? .quantizedLowRank(rank: rank, quantizer: try quantizer(), payload: try payload("payload"))
        : .quantizedLayered(rank: rank, quantizer: try quantizer(), payload: try payload("payload"))
    case .quantized:
      self = .quantized(payload: try payload("payload"))
    case .masked:
      self = .masked(mask: try payload("mask"), vector: try payload("vector"))
    case .dropped:
      self = .dropped
    case .difference:
      self = .difference(payload: try payload("payload"))
    case .common:
      self = .common
    case .replaced, .quantizedOwn:
      let dtype = try entry.required("dtype", of: "the entry").asDType("the entry")
      let shape = try entry.required("shape", of: "the entry").asShape("the shape")
      self =
        kind == .replaced
        ? .replaced(dtype: dtype, shape: shape, payload: try payload("payload"))
        : .quantizedOwn(dtype: dtype, shape: shape, payload: try payload("payload"))
    }
  }

  func write(to entry: inout JSONObject) {
    entry["factor"] = .string(kind.rawValue)
    switch self {
    case .lowRank(let rank, let dtype, let left, let right, let scales):
      entry["rank"] = JSONValue(rank)
      entry["dtype"] = .string(dtype.rawValue)
      entry["left"] = left.json
      entry["right"] = right.json
      entry["scales"] = scales.json
    case .lowRankStack(let ranks, let dtype, let left, let right, let scales):
      ranks.write(to: &entry)
      entry["dtype"] = .string(dtype.rawValue)
      entry["left"] = left.json
      entry["right"] = right.json
      entry["scales"] = scales.json
    case .quantizedStack(let ranks, let dense, let quantizer, let payload):
      ranks.write(to: &entry)
      if !dense.isEmpty { entry["dense"] = .array(dense.map { JSONValue($0) }) }
      if quantizer != .uniform { entry["quantizer"] = .string(quantizer.rawValue) }
      entry["payload"] = payload.json
    case .sparse(let count, let dtype, let positions, let values, let scales):
      entry["count"] = JSONValue(count)
      entry["dtype"] = .string(dtype.rawValue)
      entry["positions"] = positions.json
      entry["values"] = values.json
      entry["scales"] = scales.json
    case .dense(let dtype, let values, let scales):
      entry["dtype"] = .string(dtype.rawValue)
      entry["values"] = values.json
      entry["scales"] = scales.json
    case .quantizedLowRank(let rank, let quantizer, let payload),
      .quantizedLayered(let rank, let quantizer, let payload):
      entry["rank"] = JSONValue(rank)
      if quantizer != .uniform { entry["quantizer"] = .string(quantizer.rawValue) }
      entry["payload"] = payload.json
    case .quantized(let payload), .difference(let payload): entry["payload"] = payload.json
    case .masked(let mask, let vector):
      entry["mask"] = mask.json
      entry["vector"] = vector.json
    case .dropped, .common: break
    case .replaced(let dtype, let shape, let payload), .quantizedOwn(let dtype, let shape, let payload):
      entry["dtype"] = .string(dtype.rawValue)
      entry["shape"] = shape.json
      entry["payload"] = payload.json
    }
  }

  /// Throws unless the sizes agree with the tensor (TMP-6-7, TMP-6-10 to TMP-6-15).
  ///
  /// - Parameter shared: the shared tensor of that name, if there is one.
  func check(against shared: TensorInfo?, name: String) throws(StorageError) {
    func expect(_ payload: PayloadReference, _ bytes: Int?, _ what: String) throws(StorageError) {
      guard let bytes, payload.size == bytes else {
        throw StorageError(.malformed, "the \(what) have \(payload.size) bytes, which do not fit the tensor")
      }
    }
    if case .replaced(let dtype, let shape, let payload) = self {
      let info = try TensorInfo(name: name, dtype: dtype, shape: shape)
      return try expect(payload, info.byteCount, "bytes")
    }
    if case .quantizedOwn(let dtype, let shape, let payload) = self {
      let info = try TensorInfo(name: name, dtype: dtype, shape: shape)
      guard shared == nil else { throw StorageError(.malformed, "is the expert's own, and the shared model has it") }
      guard dtype.floatFormat != nil, info.shape.elementCount > 0, payload.size > 0 else {
        throw StorageError(.malformed, "is quantised without a float element")
      }
      return
    }
    guard let shared else { throw StorageError(.malformed, "is stored against a shared tensor that does not exist") }
    if isLossy, shared.dtype.floatFormat == nil {
      throw StorageError(.malformed, "has a lossy factor, and dtype \(shared.dtype.rawValue)")
    }
    switch self {
    case .lowRank(let rank, let dtype, let left, let right, let scales):
      guard let (rows, columns) = shared.shape.matrix, rank >= 1, rank <= min(rows, columns) else {
        throw StorageError(.malformed, "rank \(rank) does not fit shape \(shared.shape)")
      }
      try expect(left, dtype.componentBytes(rows).product(rank), "left factors")
      try expect(right, dtype.componentBytes(columns).product(rank), "right factors")
      try expect(scales, rank.product(4), "scales")
    case .lowRankStack(let ranks, let dtype, let left, let right, let scales):
      let stack = try ranks.checked(against: shared.shape, hasOthers: false)
      try expect(left, dtype.componentBytes(stack.rows).product(ranks.total), "left factors")
      try expect(right, dtype.componentBytes(stack.columns).product(ranks.total), "right factors")
      try expect(scales, ranks.total.product(4), "scales")
    case .quantizedStack(let ranks, let dense, _, let payload):
      _ = try ranks.checked(against: shared.shape, hasOthers: !dense.isEmpty)
      guard payload.size > 0 else { throw StorageError(.malformed, "is quantised into nothing") }
    case .sparse(let count, let dtype, let positions, let values, let scales):
      guard count >= 1, count <= shared.shape.elementCount, positions.size >= count, positions.size / 10 <= count else {
        throw StorageError(.malformed, "\(count) sparse entries do not fit shape \(shared.shape)")
      }
      try expect(values, dtype.componentBytes(count), "values")
      try expect(scales, 4, "scales")
    case .dense(let dtype, let values, let scales):
      guard shared.shape.elementCount > 0 else { throw StorageError(.malformed, "is dense without an element") }
      try expect(values, dtype.componentBytes(shared.shape.elementCount), "values")
      try expect(scales, 4, "scales")
    case .quantizedLowRank(let rank, _, let payload), .quantizedLayered(let rank, _, let payload):
      guard let (rows, columns) = shared.shape.matrix, rank >= 1, rank <= min(rows, columns), payload.size > 0 else {
        throw StorageError(.malformed, "rank \(rank) does not fit shape \(shared.shape)")
      }
    case .quantized(let payload):
      guard shared.shape.elementCount > 0, payload.size > 0 else {
        throw StorageError(.malformed, "is quantised without an element")
      }
    case .masked(let mask, let vector):
      guard shared.shape.matrix != nil, mask.size > 0, vector.size > 0 else {
        throw StorageError(
          .malformed, "is masked by \(mask.size) bytes of \(vector.size), which do not fit shape \(shared.shape)")
      }
    case .dropped, .common: break
    case .difference(let payload): try expect(payload, shared.byteCount, "bytes")
    case .replaced, .quantizedOwn: break
    }
  }
}

extension Int {
  /// The product; nil when it overflows.
  fileprivate func product(_ other: Int) -> Int? {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }
}
