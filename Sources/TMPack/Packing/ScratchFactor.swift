import ByteIO
import Factorization
import TensorKit

/// A quantised factor on disk; or none, of a tensor that is better left out.
struct ScratchFactor: Sendable {
  private let form: Form?

  private enum Form {
    case lowRank(rank: Int, Quantizer, rows: Int, columns: Int, Extent)
    case dense(rows: Int, columns: Int, Extent)
    case layered(rank: Int, Quantizer, rows: Int, columns: Int, Extent)
  }

  private struct Extent {
    let offset: UInt64
    let size: Int
  }

  init(_ factor: QuantizedFactor?, scratch: ScratchFile) throws(StorageError) {
    guard let factor else {
      form = nil
      return
    }
    let payload = factor.payload
    let offset = try payload.withUnsafeBufferPointer { bytes throws(StorageError) in
      try scratch.append(UnsafeRawBufferPointer(bytes))
    }
    let extent = Extent(offset: offset, size: payload.count)
    form =
      switch factor {
      case .lowRank(let f): .lowRank(rank: f.rank, f.quantizer, rows: f.rows, columns: f.columns, extent)
      case .dense(let f): .dense(rows: f.rows, columns: f.columns, extent)
      case .layered(let f):
        .layered(
          rank: f.lowRank.rank, f.lowRank.quantizer, rows: f.lowRank.rows, columns: f.lowRank.columns, extent)
      }
  }

  /// nil for a tensor that is left out.
  var quantizedForm: QuantizedFactor.Form? {
    switch form {
    case nil: nil
    case .lowRank(let rank, _, _, _, _): .lowRank(rank)
    case .dense: .dense
    case .layered(let rank, _, _, _, _): .layered(rank)
    }
  }

  /// As a reader will have it.
  func loaded(from scratch: ScratchFile) throws(StorageError) -> Factor? {
    switch form {
    case nil: return nil
    case .lowRank(let rank, let quantizer, let rows, let columns, let extent):
      let payload: [UInt8] = try scratch.read(at: extent.offset, count: extent.size)
      return .quantized(
        .lowRank(
          try QuantizedLowRankFactor(payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    case .dense(let rows, let columns, let extent):
      let payload: [UInt8] = try scratch.read(at: extent.offset, count: extent.size)
      return .quantized(.dense(try QuantizedDenseFactor(payload: payload, rows: rows, columns: columns)))
    case .layered(let rank, let quantizer, let rows, let columns, let extent):
      let payload: [UInt8] = try scratch.read(at: extent.offset, count: extent.size)
      return .quantized(
        .layered(
          try QuantizedLayeredFactor(payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    }
  }
}
