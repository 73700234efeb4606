import TMPackByteIO

/// An entropy-coded factor of one tensor.
package enum QuantizedFactor: Sendable, Hashable {
  case lowRank(QuantizedLowRankFactor)
  case dense(QuantizedDenseFactor)
  case layered(QuantizedLayeredFactor)
  case stack(QuantizedStack)

  package var elementCount: Int {
    switch self {
    case .lowRank(let factor): factor.rows * factor.columns
    case .dense(let factor): factor.count
    case .layered(let factor): factor.residual.count
    case .stack(let factor): factor.stack.elementCount
    }
  }

  /// What is stored, beside the kind, the shape and the rank.
  package var payload: [UInt8] {
    switch self {
    case .lowRank(let factor): factor.payload
    case .dense(let factor): factor.payload
    case .layered(let factor): factor.payload
    case .stack(let factor): factor.payload
    }
  }

  /// Integers that it is decoded to.
  package var symbolCount: Int {
    switch self {
    case .lowRank(let factor): factor.left.count + factor.right.count
    case .dense(let factor): factor.symbols.count
    case .layered(let factor): factor.lowRank.left.count + factor.lowRank.right.count + factor.residual.symbols.count
    case .stack(let factor): factor.symbolCount
    }
  }
}

extension Factor {
  /// The factor as a reader will have it: a quantised one decoded from its payload, so that what is measured is what was stored.
  package func decoded() throws(StorageError) -> Factor {
    switch self {
    case .quantized(.lowRank(let factor)):
      .quantized(
        .lowRank(
          try QuantizedLowRankFactor(
            payload: factor.payload, rows: factor.rows, columns: factor.columns, rank: factor.rank,
            quantizer: factor.quantizer)))
    case .quantized(.dense(let factor)):
      .quantized(.dense(try QuantizedDenseFactor(payload: factor.payload, rows: factor.rows, columns: factor.columns)))
    case .quantized(.layered(let factor)):
      .quantized(
        .layered(
          try QuantizedLayeredFactor(
            payload: factor.payload, rows: factor.lowRank.rows, columns: factor.lowRank.columns,
            rank: factor.lowRank.rank, quantizer: factor.lowRank.quantizer)))
    case .quantized(.stack(let factor)):
      .quantized(
        .stack(
          try QuantizedStack(
            payload: factor.payload, stack: factor.stack, forms: factor.forms, quantizer: factor.quantizer)))
    case .masked(let factor):
      .masked(
        try MaskedFactor(mask: factor.mask, vector: factor.vector, rows: factor.rows, columns: factor.columns))
    case .lowRank, .lowRankStack, .sparse, .dense: self
    }
  }
}
