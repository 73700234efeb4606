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
  ///   - payloads: reads a payload of the entry's section.
  ///   - info: of the shared tensor of the same name, which every factor has that does not stand by itself (TMP-6-7).
  ///   - shared: reads that tensor.
  init(
    _ entry: ExpertEntry, info: TensorInfo?, payloads: (PayloadReference) throws(StorageError) -> [UInt8],
    shared: () throws(StorageError) -> TensorBytes
  ) throws(StorageError) {
    if case .replaced(_, _, let payload) = entry.factor {
      let bytes = try payloads(payload)
      self = .bytes(TensorBytes(count: bytes.count) { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } })
      return
    }
    if case .quantizedOwn(let dtype, let shape, let payload) = entry.factor {
      let info = try TensorInfo(name: entry.name, dtype: dtype, shape: shape)
      let factor = try Self.quantized(try payloads(payload), shape: shape)
      // TMP-7-19
      self = .bytes(try ExactUpgrade(info).approximation(of: TensorBytes(zeros: info.byteCount), factor))
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
      self = .factor(
        .lowRankStack(
          try LowRankStack(
            left: try payloads(left), right: try payloads(right), scales: try payloads(scales), dtype: dtype,
            stack: try ranks.checked(against: info.shape, hasOthers: false), ranks: ranks.ranks)))
    case .quantizedStack(let ranks, let dense, let quantizer, let payload):
      let dense = Set(dense)
      self = .factor(
        .quantized(
          .stack(
            try QuantizedStack(
              payload: try payloads(payload),
              stack: try ranks.checked(against: info.shape, hasOthers: !dense.isEmpty),
              forms: ranks.ranks.enumerated().map { .init(rank: $1, isDense: dense.contains($0)) },
              quantizer: quantizer))))
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
      self = .factor(try Self.quantized(try payloads(payload), shape: info.shape))
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
    case .replaced, .quantizedOwn: preconditionFailure("handled above")
    }
  }

  /// Entry by entry, as TMP-6-21 has it.
  static func quantized(_ payload: [UInt8], shape: Shape) throws(StorageError) -> Factor {
    let (rows, columns) = shape.matrix ?? (1, shape.elementCount)
    return .quantized(.dense(try QuantizedDenseFactor(payload: payload, rows: rows, columns: columns)))
  }

  /// The one scale of a sparse or dense factor; its size was checked with the manifest (TMP-6-10).
  private static func scale(_ bytes: [UInt8]) throws(StorageError) -> Float {
    try bytes.withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw)
      return Float(bitPattern: try reader.integer())
    }
  }
}
