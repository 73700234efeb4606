import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// What an archive stores for one tensor, decoded as far as does not depend on router weights.
package enum DecodedPart: Sendable {
  /// A lossy factor, to be added.
  case factor(Factor)
  /// What is approximated by nothing: adds nothing.
  case nothing
  /// A tensor's own bytes: the shared model's, or an expert's.
  case bytes(TensorBytes)

  /// Memory that it takes; of a view of a mapped file, its pages.
  package var byteCount: Int {
    switch self {
    case .factor(let factor): factor.memorySize
    case .nothing: 0
    case .bytes(let bytes): bytes.count
    }
  }

  /// - Parameters:
  ///   - elements: of a stack of matrices, decode those alone that have any of them; nil for all.
  ///   - payloads: reads a payload of the entry's section, or some of its bytes.
  ///   - info: of the shared tensor of the same name, which every factor but `replaced` has (TMP-6-7).
  ///   - shared: reads that tensor.
  init(
    _ entry: ExpertEntry, info: TensorInfo?, touching elements: Range<Int>? = nil,
    payloads read: (PayloadReference, Range<Int>?) throws(StorageError) -> [UInt8],
    shared: () throws(StorageError) -> TensorBytes
  ) throws(StorageError) {
    func payloads(_ payload: PayloadReference) throws(StorageError) -> [UInt8] { try read(payload, nil) }
    if case .replaced(_, _, let payload) = entry.factor {
      let bytes = try payloads(payload)
      self = .bytes(TensorBytes(count: bytes.count) { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } })
      return
    }
    guard let info else { preconditionFailure("the manifest was checked (TMP-6-7)") }
    switch entry.factor {
    case .lowRank(let rank, let dtype, let left, let right, let scales):
      guard let (rows, columns) = info.shape.matrix else { preconditionFailure("the manifest was checked (TMP-6-11)") }
      self = .factor(
        .lowRank(
          try LowRankFactor(
            left: try payloads(left), right: try payloads(right), scales: try payloads(scales), dtype: dtype,
            rows: rows,
            columns: columns, rank: rank)))
    case .lowRankStack(let ranks, let dtype, let left, let right, let scales):
      let stack = try ranks.checked(against: info.shape, hasOthers: false)
      let wanted = elements.map { stack.matrices(touching: $0) } ?? 0..<stack.count
      let before = ranks.ranks[..<wanted.lowerBound].reduce(0, +)
      let components = before..<before + ranks.ranks[wanted].reduce(0, +)
      // Theirs alone, which lie together.
      func part(_ payload: PayloadReference, _ width: Int) throws(StorageError) -> [UInt8] {
        try read(payload, components.lowerBound * width..<components.upperBound * width)
      }
      guard !components.isEmpty else {
        self = .nothing
        return
      }
      self = .factor(
        .lowRankStack(
          try LowRankStack(
            left: try part(left, dtype.componentBytes(stack.rows)),
            right: try part(right, dtype.componentBytes(stack.columns)), scales: try part(scales, 4), dtype: dtype,
            stack: stack, ranks: ranks.ranks.enumerated().map { wanted.contains($0) ? $1 : 0 })))
    case .quantizedStack(let ranks, let dense, let quantizer, let payload):
      let dense = Set(dense)
      let stack = try ranks.checked(against: info.shape, hasOthers: !dense.isEmpty)
      let factor = try QuantizedStack(
        payload: try payloads(payload), stack: stack,
        forms: ranks.ranks.enumerated().map { .init(rank: $1, isDense: dense.contains($0)) }, quantizer: quantizer,
        keeping: elements.map { stack.matrices(touching: $0) })
      self = factor.map { .factor(.quantized(.stack($0))) } ?? .nothing
    case .sparse(let count, let dtype, let positions, let values, let scales):
      self = .factor(
        .sparse(
          try SparseFactor(
            positions: try payloads(positions), values: try payloads(values),
            scale: try Self.scale(try payloads(scales)),
            dtype: dtype, count: count, elementCount: info.shape.elementCount)))
    case .dense(let dtype, let values, let scales):
      self = .factor(
        .dense(
          try DenseFactor(
            values: try payloads(values), scale: try Self.scale(try payloads(scales)), dtype: dtype,
            count: info.shape.elementCount)))
    case .quantizedLowRank(let rank, let quantizer, let payload):
      guard let (rows, columns) = info.shape.matrix else { preconditionFailure("the manifest was checked (TMP-6-20)") }
      self = .factor(
        .quantized(
          .lowRank(
            try QuantizedLowRankFactor(
              payload: try payloads(payload), rows: rows, columns: columns, rank: rank, quantizer: quantizer))))
    case .quantizedLayered(let rank, let quantizer, let payload):
      guard let (rows, columns) = info.shape.matrix else { preconditionFailure("the manifest was checked (TMP-6-22)") }
      self = .factor(
        .quantized(
          .layered(
            try QuantizedLayeredFactor(
              payload: try payloads(payload), rows: rows, columns: columns, rank: rank, quantizer: quantizer))))
    case .quantized(let payload):
      let (rows, columns) = info.shape.matrix ?? (1, info.shape.elementCount)
      self = .factor(
        .quantized(.dense(try QuantizedDenseFactor(payload: try payloads(payload), rows: rows, columns: columns))))
    case .masked(let mask, let vector):
      guard let (rows, columns) = info.shape.matrix else { preconditionFailure("the manifest was checked (TMP-6-23)") }
      self = .factor(
        .masked(
          try MaskedFactor(mask: try payloads(mask), vector: try payloads(vector), rows: rows, columns: columns)))
    case .dropped, .common: self = .nothing
    case .difference(let payload):
      let reference = try shared()
      let difference = try payloads(payload)
      self = .bytes(
        try TensorBytes(count: info.byteCount) { target throws(StorageError) in
          try ExactDifference.decodeConcurrently(difference, against: reference, dtype: info.dtype, into: target)
        })
    case .replaced: preconditionFailure("handled above")
    }
  }

  /// The one scale of a sparse or dense factor; its size was checked with the manifest (TMP-6-10).
  private static func scale(_ bytes: [UInt8]) throws(StorageError) -> Float {
    try bytes.withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw)
      return Float(bitPattern: try reader.integer())
    }
  }
}
