import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// A factor whose payloads are compressed, but not placed.
package enum EncodedFactor: Sendable {
  case lowRank(rank: Int, FactorDType, left: EncodedPayload, right: EncodedPayload, scales: EncodedPayload)
  case lowRankStack(StackRanks, FactorDType, left: EncodedPayload, right: EncodedPayload, scales: EncodedPayload)
  case sparse(count: Int, FactorDType, positions: EncodedPayload, values: EncodedPayload, scales: EncodedPayload)
  case dense(FactorDType, values: EncodedPayload, scales: EncodedPayload)
  case quantizedLowRank(rank: Int, Quantizer, EncodedPayload)
  case quantized(EncodedPayload)
  case quantizedLayered(rank: Int, Quantizer, EncodedPayload)
  case quantizedStack(StackRanks, dense: [Int], Quantizer, EncodedPayload)
  case masked(mask: EncodedPayload, vector: EncodedPayload)
  case dropped

  package init(_ factor: Factor, level: Int) {
    func encoded(_ bytes: [UInt8], width: Int) -> EncodedPayload {
      EncodedPayload(bytes, elementWidth: width, level: level)
    }
    switch factor {
    case .lowRank(let factor):
      let width = factor.dtype.planeWidth
      self = .lowRank(
        rank: factor.rank, factor.dtype, left: encoded(factor.left, width: width),
        right: encoded(factor.right, width: width),
        scales: encoded(factor.scales, width: 4))
    case .lowRankStack(let factor):
      let width = factor.dtype.planeWidth
      self = .lowRankStack(
        StackRanks(factor.stack, ranks: factor.ranks), factor.dtype, left: encoded(factor.left, width: width),
        right: encoded(factor.right, width: width), scales: encoded(factor.scales, width: 4))
    case .sparse(let factor):
      self = .sparse(
        count: factor.count, factor.dtype, positions: encoded(factor.positions, width: 1),
        values: encoded(factor.values, width: factor.dtype.planeWidth),
        scales: encoded(factor.scale.littleEndianBytes, width: 4))
    case .dense(let factor):
      self = .dense(
        factor.dtype, values: encoded(factor.values, width: factor.dtype.planeWidth),
        scales: encoded(factor.scale.littleEndianBytes, width: 4))
    case .quantized(let factor): self.init(CodedFactor(factor), level: level)
    case .masked(let factor):
      self = .masked(
        mask: encoded(factor.mask, width: 1),
        vector: EncodedPayload(factor.vector, elementWidth: 1, isShared: true, level: level))
    }
  }

  init(_ factor: CodedFactor?, level: Int) {
    let payload = EncodedPayload(factor?.payload ?? [], elementWidth: 1, level: level)
    self =
      switch factor?.form {
      case nil: .dropped
      case .lowRank(let rank, let quantizer): .quantizedLowRank(rank: rank, quantizer, payload)
      case .dense: .quantized(payload)
      case .layered(let rank, let quantizer): .quantizedLayered(rank: rank, quantizer, payload)
      case .stack(let form):
        .quantizedStack(
          StackRanks(form.stack, ranks: form.matrices.map(\.rank)),
          dense: form.matrices.indices.filter { form.matrices[$0].isDense }, form.quantizer, payload)
      }
  }

  /// Bytes of the compressed payloads.
  package var storedSize: Int {
    payloads.reduce(0) { $0 + $1.storedSize }
  }

  package var payloads: [EncodedPayload] {
    switch self {
    case .lowRank(_, _, let left, let right, let scales), .lowRankStack(_, _, let left, let right, let scales):
      [left, right, scales]
    case .sparse(_, _, let positions, let values, let scales): [positions, values, scales]
    case .dense(_, let values, let scales): [values, scales]
    case .quantizedLowRank(_, _, let payload), .quantized(let payload), .quantizedLayered(_, _, let payload),
      .quantizedStack(_, _, _, let payload):
      [payload]
    case .masked(let mask, let vector): [mask, vector]
    case .dropped: []
    }
  }

  /// Writes the payloads of the factor.
  package func place(in writer: ArchiveWriter) throws(StorageError) -> StoredFactor {
    switch self {
    case .lowRank(let rank, let dtype, let left, let right, let scales):
      .lowRank(
        rank: rank, dtype: dtype, left: try writer.place(left), right: try writer.place(right),
        scales: try writer.place(scales))
    case .lowRankStack(let ranks, let dtype, let left, let right, let scales):
      .lowRankStack(
        ranks, dtype: dtype, left: try writer.place(left), right: try writer.place(right),
        scales: try writer.place(scales))
    case .quantizedStack(let ranks, let dense, let quantizer, let payload):
      .quantizedStack(ranks, dense: dense, quantizer: quantizer, payload: try writer.place(payload))
    case .sparse(let count, let dtype, let positions, let values, let scales):
      .sparse(
        count: count, dtype: dtype, positions: try writer.place(positions), values: try writer.place(values),
        scales: try writer.place(scales))
    case .dense(let dtype, let values, let scales):
      .dense(dtype: dtype, values: try writer.place(values), scales: try writer.place(scales))
    case .quantizedLowRank(let rank, let quantizer, let payload):
      .quantizedLowRank(rank: rank, quantizer: quantizer, payload: try writer.place(payload))
    case .quantized(let payload): .quantized(payload: try writer.place(payload))
    case .quantizedLayered(let rank, let quantizer, let payload):
      .quantizedLayered(rank: rank, quantizer: quantizer, payload: try writer.place(payload))
    case .masked(let mask, let vector):
      .masked(mask: try writer.place(mask), vector: try writer.place(vector))
    case .dropped: .dropped
    }
  }
}

extension Float {
  /// As a payload of one scale (TMP-6-10).
  fileprivate var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { [UInt8]($0) } }
}
