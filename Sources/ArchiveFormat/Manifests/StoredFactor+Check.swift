import TMPackByteIO
import TMPackTensorKit

extension StoredFactor {
  /// Throws unless the sizes agree with the tensor (TMP-6-7, TMP-6-10 to TMP-6-15).
  ///
  /// - Parameter shared: the shared tensor of that name, if there is one.
  func check(against shared: TensorInfo?, name: String) throws(StorageError) {
    if case .replaced(let dtype, let shape, let payload) = self {
      return try payload.check(try TensorInfo(name: name, dtype: dtype, shape: shape).byteCount, "bytes")
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
    switch self {
    case .lossy(let layout): try layout.check(against: shared)
    case .difference(let payload): try payload.check(shared.byteCount, "bytes")
    case .common, .replaced, .quantizedOwn: break
    }
  }
}

extension FactorLayout<PayloadReference> {
  fileprivate func check(against shared: TensorInfo) throws(StorageError) {
    guard shared.dtype.floatFormat != nil else {
      throw StorageError(.malformed, "has a lossy factor, and dtype \(shared.dtype.rawValue)")
    }
    func matrix(ofRank rank: Int) throws(StorageError) -> (rows: Int, columns: Int) {
      guard let (rows, columns) = shared.shape.matrix, rank >= 1, rank <= min(rows, columns) else {
        throw StorageError(.malformed, "rank \(rank) does not fit shape \(shared.shape)")
      }
      return (rows, columns)
    }
    func checkProducts(_ total: Int, _ dtype: FactorDType, rows: Int, columns: Int) throws(StorageError) {
      try self[.left].check(dtype.componentBytes(rows).product(total), "left factors")
      try self[.right].check(dtype.componentBytes(columns).product(total), "right factors")
      try self[.scales].check(total.product(4), "scales")
    }
    let elements = shared.shape.elementCount
    switch form {
    case .lowRank(let rank, let dtype):
      let (rows, columns) = try matrix(ofRank: rank)
      try checkProducts(rank, dtype, rows: rows, columns: columns)
    case .lowRankStack(let ranks, let dtype):
      let stack = try ranks.checked(against: shared.shape, hasOthers: false)
      try checkProducts(ranks.total, dtype, rows: stack.rows, columns: stack.columns)
    case .quantizedStack(let ranks, let dense, _):
      _ = try ranks.checked(against: shared.shape, hasOthers: !dense.isEmpty)
      guard self[.payload].size > 0 else { throw StorageError(.malformed, "is quantised into nothing") }
    case .sparse(let count, let dtype):
      let positions = self[.positions].size
      guard count >= 1, count <= elements, positions >= count, positions / 10 <= count else {
        throw StorageError(.malformed, "\(count) sparse entries do not fit shape \(shared.shape)")
      }
      try self[.values].check(dtype.componentBytes(count), "values")
      try self[.scales].check(4, "scales")
    case .dense(let dtype):
      guard elements > 0 else { throw StorageError(.malformed, "is dense without an element") }
      try self[.values].check(dtype.componentBytes(elements), "values")
      try self[.scales].check(4, "scales")
    case .quantizedLowRank(let rank, _), .quantizedLayered(let rank, _):
      _ = try matrix(ofRank: rank)
      guard self[.payload].size > 0 else { throw StorageError(.malformed, "is quantised into nothing") }
    case .quantized:
      guard elements > 0, self[.payload].size > 0 else {
        throw StorageError(.malformed, "is quantised without an element")
      }
    case .masked:
      let (mask, vector) = (self[.mask].size, self[.vector].size)
      guard shared.shape.matrix != nil, mask > 0, vector > 0 else {
        throw StorageError(
          .malformed, "is masked by \(mask) bytes of \(vector), which do not fit shape \(shared.shape)")
      }
    case .dropped: break
    }
  }
}

extension PayloadReference {
  /// - Parameter bytes: nil where the number overflows.
  fileprivate func check(_ bytes: Int?, _ what: String) throws(StorageError) {
    guard let bytes, size == bytes else {
      throw StorageError(.malformed, "the \(what) have \(size) bytes, which do not fit the tensor")
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
