import TMPackByteIO
import TMPackTensorKit

/// A matrix in two layers: of low rank, and what that leaves, element by element; in one message (TMP-6-22).
///
/// It decodes as the one and then the other do.
package struct QuantizedLayeredFactor: Sendable, Hashable {
  package let lowRank: QuantizedLowRankFactor
  package let residual: QuantizedDenseFactor
  /// Everything but the shape, the rank and the quantiser, as stored.
  package let payload: [UInt8]
}

extension QuantizedLayeredFactor {
  /// A factor from an archive, decoded and checked.
  ///
  /// - Throws: `malformed` unless `payload` is what the encoder makes of some symbols and scales.
  package init(payload: [UInt8], rows: Int, columns: Int, rank: Int, quantizer: Quantizer) throws(StorageError) {
    (lowRank, residual) = try payload.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      let lowRank = try QuantizedLowRankFactor(
        decodedBy: &coder, rows: rows, columns: columns, rank: rank, quantizer: quantizer)
      let residual = try QuantizedDenseFactor(decodedBy: &coder, rows: rows, columns: columns)
      try coder.finish()
      return (lowRank, residual)
    }
    self.payload = payload
  }

  /// The same as a part of something else, whose message holds it.
  var withoutPayload: QuantizedLayeredFactor {
    QuantizedLayeredFactor(lowRank: lowRank, residual: residual, payload: [])
  }

  /// - Precondition: both have one shape.
  package init(_ lowRank: QuantizedLowRankFactor, _ residual: QuantizedDenseFactor) {
    precondition(lowRank.rows == residual.rows && lowRank.columns == residual.columns, "layers of one matrix")
    self.lowRank = lowRank.withoutPayload
    self.residual = residual.withoutPayload
    var coder = RangeEncoder()
    lowRank.encode(into: &coder)
    residual.encode(into: &coder)
    payload = coder.finish()
  }

  /// What `lowRank` leaves of `values`, quantised with this step; with the squared error of both together.
  ///
  /// - Precondition: the values are finite, and `step` is positive.
  /// - Returns: nil when nothing of the rest is left, or it is beyond float32's range.
  package static func encode(
    _ values: UnsafeBufferPointer<Float>, over lowRank: QuantizedLowRankFactor, step: Double
  ) -> (factor: QuantizedLayeredFactor, squaredError: Double)? {
    var rest = Array(values)
    let encoded = rest.withUnsafeMutableBufferPointer { rest -> (QuantizedDenseFactor, Double)? in
      Factor.quantized(.lowRank(lowRank)).accumulate(weight: -1, into: rest)
      let rest = UnsafeBufferPointer(rest)
      guard rest.allSatisfy({ $0.isFinite }),
        let residual = QuantizedDenseFactor(
          quantizing: rest, rows: lowRank.rows, columns: lowRank.columns, step: step)
      else { return nil }
      return (residual, residual.squaredError(against: rest))
    }
    return encoded.map { (QuantizedLayeredFactor(lowRank, $0.0), $0.1) }
  }
}
