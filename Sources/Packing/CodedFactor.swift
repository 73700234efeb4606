import TMPackByteIO
import TMPackFactors

/// A quantised factor as the message that is stored of it, not decoded; of a stack, its matrices' sides.
package struct CodedFactor: Sendable {
  package let form: QuantizedFactor.Form
  package let rows: Int
  package let columns: Int
  package let payload: [UInt8]
}

extension CodedFactor {
  package init(_ factor: QuantizedFactor) {
    form = factor.form
    payload = factor.payload
    switch factor {
    case .lowRank(let factor): (rows, columns) = (factor.rows, factor.columns)
    case .dense(let factor): (rows, columns) = (factor.rows, factor.columns)
    case .layered(let factor): (rows, columns) = (factor.lowRank.rows, factor.lowRank.columns)
    case .stack(let factor): (rows, columns) = (factor.stack.rows, factor.stack.columns)
    }
  }

  /// As a reader will have it.
  ///
  /// - Throws: `malformed`.
  package func decoded() throws(StorageError) -> QuantizedFactor {
    switch form {
    case .lowRank(let rank, let quantizer):
      .lowRank(
        try QuantizedLowRankFactor(
          payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer))
    case .dense: .dense(try QuantizedDenseFactor(payload: payload, rows: rows, columns: columns))
    case .stack(let form):
      .stack(
        try QuantizedStack(payload: payload, stack: form.stack, forms: form.matrices, quantizer: form.quantizer))
    case .layered(let rank, let quantizer):
      .layered(
        try QuantizedLayeredFactor(
          payload: payload, rows: rows, columns: columns, rank: rank, quantizer: quantizer))
    }
  }
}
