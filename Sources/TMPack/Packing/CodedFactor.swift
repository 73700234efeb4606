import ByteIO
import Factorization

/// A quantised factor as the message that is stored of it, not decoded.
struct CodedFactor: Sendable {
  let form: QuantizedFactor.Form
  let rows: Int
  let columns: Int
  let payload: [UInt8]
}

extension CodedFactor {
  init(_ factor: QuantizedFactor) {
    form = factor.form
    payload = factor.payload
    switch factor {
    case .lowRank(let factor): (rows, columns) = (factor.rows, factor.columns)
    case .dense(let factor): (rows, columns) = (factor.rows, factor.columns)
    case .layered(let factor): (rows, columns) = (factor.lowRank.rows, factor.lowRank.columns)
    }
  }

  /// As a reader will have it.
  ///
  /// - Throws: `malformed`.
  func decoded() throws(StorageError) -> QuantizedFactor {
    switch form {
    case .lowRank(let rank, let quantizer):
      .lowRank(
        try QuantizedLowRankFactor(
          payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer))
    case .dense: .dense(try QuantizedDenseFactor(payload: payload, rows: rows, columns: columns))
    case .layered(let rank, let quantizer):
      .layered(
        try QuantizedLayeredFactor(
          payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer))
    }
  }
}
