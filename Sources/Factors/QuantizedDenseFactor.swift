import TMPackByteIO

/// Every element of a tensor as a small integer times one scale, entropy-coded.
///
/// With symbols of −1 and 1 it is a sign and a scale, at one bit an element; with −1, 0 and 1 a ternary mask.
/// It decodes as a `DenseFactor` does: g = w · scale, rounded to float32; then accᵢ = fma(g, symbolᵢ, accᵢ) in the accumulator's
/// type.
package struct QuantizedDenseFactor: Sendable, Hashable {
  /// Components: the matrix's rows; 1 for what is no matrix.
  package let rows: Int
  /// Symbols of each.
  package let columns: Int
  /// Everything else, as stored; empty for a layer, whose message is that of the `QuantizedLayeredFactor`.
  package let payload: [UInt8]
  package let symbols: [Int16]
  /// Positive and finite.
  package let scale: Float

  package var count: Int { symbols.count }
}

extension QuantizedDenseFactor {
  /// A factor from an archive, decoded and checked.
  ///
  /// - Throws: `malformed` unless `payload` is what the encoder makes of some symbols and scale.
  package init(payload: [UInt8], rows: Int, columns: Int) throws(StorageError) {
    self = try payload.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      let factor = try Self(decodedBy: &coder, rows: rows, columns: columns, payload: payload)
      try coder.finish()
      return factor
    }
  }

  /// What stands next in a message.
  package init(
    decodedBy coder: inout RangeDecoder, rows: Int, columns: Int, payload: [UInt8] = []
  ) throws(StorageError) {
    guard columns >= 1 else { throw StorageError(.malformed, "a quantised factor of \(rows) × \(columns) elements") }
    var models = SymbolModels(length: columns, neighbours: .placeAndRun)
    try self.init(decodedBy: &coder, rows: rows, columns: columns, models: &models, payload: payload)
  }

  /// - Parameter models: what matrices before it have taught.
  init(
    decodedBy coder: inout RangeDecoder, rows: Int, columns: Int, models: inout SymbolModels, payload: [UInt8] = []
  ) throws(StorageError) {
    guard rows >= 1, columns >= 1 else {
      throw StorageError(.malformed, "a quantised factor of \(rows) × \(columns) elements")
    }
    let count = try rows.multiplied(by: columns, "the number of elements of a tensor")
    var symbols = [Int16](repeating: 0, count: count)
    scale = Float(bitPattern: coder.decode(bits: 31))
    guard scale.isFinite, scale > 0 else {
      throw StorageError(.malformed, "the scale of a factor is not a positive number")
    }
    try symbols.withUnsafeMutableBufferPointer { symbols throws(StorageError) in
      for i in 0..<rows {
        let isSound = models.withComponent { $0.decode(symbols.run(i, of: columns), &coder) }
        guard isSound else { throw StorageError(.malformed, "a symbol of a factor is above 32,767") }
      }
    }
    self.rows = rows
    self.columns = columns
    self.payload = payload
    self.symbols = symbols
  }

  /// - Precondition: there are `rows` × `columns` ≥ 1 symbols within ±32,767, and the scale is positive and finite.
  package init(symbols: [Int16], scale: Float, rows: Int, columns: Int) {
    precondition(symbols.count == rows * columns && rows >= 1 && columns >= 1 && scale > 0 && scale.isFinite)
    self.rows = rows
    self.columns = columns
    self.symbols = symbols
    self.scale = scale
    var coder = RangeEncoder()
    var models = SymbolModels(length: columns, neighbours: .placeAndRun)
    Self.encode(symbols, scale, rows: rows, columns: columns, &models, into: &coder)
    payload = coder.finish()
  }

  /// Puts what there is into a message.
  package func encode(into coder: inout RangeEncoder) {
    var models = SymbolModels(length: columns, neighbours: .placeAndRun)
    encode(into: &coder, models: &models)
  }

  /// - Parameter models: what matrices before it have taught.
  func encode(into coder: inout RangeEncoder, models: inout SymbolModels) {
    Self.encode(symbols, scale, rows: rows, columns: columns, &models, into: &coder)
  }

  /// The same as a part of something else, whose message holds it.
  var withoutPayload: QuantizedDenseFactor {
    QuantizedDenseFactor(rows: rows, columns: columns, payload: [], symbols: symbols, scale: scale)
  }

  private static func encode(
    _ symbols: [Int16], _ scale: Float, rows: Int, columns: Int, _ models: inout SymbolModels,
    into coder: inout RangeEncoder
  ) {
    coder.encode(bits: scale.bitPattern, count: 31)
    symbols.withUnsafeBufferPointer { symbols in
      for i in 0..<rows { models.withComponent { $0.encode(symbols.run(i, of: columns), &coder) } }
    }
  }
}

extension QuantizedDenseFactor {
  /// Every element quantised with one step, the symbols chosen as `QuantizedLowRankFactor`'s are.
  ///
  /// - Precondition: the elements are finite, `rows` × `columns` ≥ 1 of them; `step` is positive.
  /// - Returns: nil when all symbols are 0, or the scale is below float32's range.
  package init?(
    quantizing values: UnsafeBufferPointer<Float>, rows: Int, columns: Int, step: Double,
    slope: Double = RateSetting.slope
  ) {
    precondition(values.count == rows * columns && values.count >= 1)
    // No finer than symbols can be.
    let step = max(step, Double(values.largestMagnitude) / Double(SymbolModels.largest - 1))
    guard Double(values.largestMagnitude) > step / 2 else { return nil }
    var models = SymbolModels(length: columns, neighbours: .placeAndRun)
    var scaled = [Float](repeating: 0, count: columns)
    let symbols = [Int16](unsafeUninitializedCapacity: values.count) { symbols, initialized in
      scaled.withUnsafeMutableBufferPointer { scaled in
        let factor = 1 / step
        for i in 0..<rows {
          let row = values.run(i, of: columns)
          // In float64: the step may be far beyond float32's range.
          for j in 0..<columns { scaled[j] = Float(Double(row[j]) * factor) }
          _ = models.withComponent {
            $0.quantize(.init(scaled), slope: Float(slope), into: symbols.run(i, of: columns))
          }
        }
      }
      initialized = values.count
    }
    self.init(symbols: symbols, of: values, rows: rows, columns: columns)
  }

  /// Sign and scale (BitDelta): what is not negative becomes 1, what is, −1; the scale is the mean magnitude.
  package init?(signsOf values: UnsafeBufferPointer<Float>, rows: Int, columns: Int) {
    self.init(symbols: values.map { $0 < 0 ? -1 : 1 }, of: values, rows: rows, columns: columns)
  }

  /// The signs of the round(density · n) largest elements, but at least one; the others are 0.
  package init?(ternary values: UnsafeBufferPointer<Float>, rows: Int, columns: Int, density: Double) {
    var symbols = [Int16](repeating: 0, count: values.count)
    for i in largestMagnitudes(max(1, Int((density * Double(values.count)).rounded())), of: values) {
      symbols[i] = values[i] < 0 ? -1 : 1
    }
    self.init(symbols: symbols, of: values, rows: rows, columns: columns)
  }

  /// With the scale that makes the symbols nearest to the values.
  private init?(symbols: [Int16], of values: UnsafeBufferPointer<Float>, rows: Int, columns: Int) {
    var along = 0.0
    var energy = 0.0
    for i in 0..<values.count {
      let q = Double(symbols[i])
      along += q * Double(values[i])
      energy += q * q
    }
    let scale = Float(along / energy)
    guard scale > 0, scale.isFinite else { return nil }
    self.init(symbols: symbols, scale: scale, rows: rows, columns: columns)
  }

  /// ‖values − decoded‖².
  package func squaredError(against values: UnsafeBufferPointer<Float>) -> Double {
    precondition(values.count == count)
    var error = 0.0
    for i in 0..<count {
      let d = Double(values[i]) - Double(scale) * Double(symbols[i])
      error += d * d
    }
    return error
  }
}

extension QuantizedDenseFactor {
  /// Adds the elements from `start` on.
  func accumulate<Scalar: FactorAccumulator>(
    weight: Float, into run: UnsafeMutableBufferPointer<Scalar>, from start: Int, using isa: InstructionSet
  ) {
    let gain = weight * scale
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2048) { chunk in
      symbols.withUnsafeBufferPointer { symbols in
        for first in stride(from: 0, to: run.count, by: chunk.count) {
          let size = min(chunk.count, run.count - first)
          for i in 0..<size { chunk[i] = Float(symbols[start + first + i]) }
          Scalar.accumulateDense(isa, run.baseAddress! + first, chunk.baseAddress!, count: size, gain: gain)
        }
      }
    }
  }
}
