import TMPackByteIO
import TMPackTensorKit

/// A matrix as Σₖ scaleₖ · leftₖ · rightₖᵀ with vectors of small integers, entropy-coded (TMP-6-20).
///
/// It decodes as a `LowRankFactor` does: gₖ = w · scaleₖ; aᵢₖ = gₖ · leftᵢₖ, each rounded once to float32; then
/// accᵢⱼ = fma(aᵢₖ, rightₖⱼ, accᵢⱼ) for k = 0, 1, …, rank − 1. Into float64 only that last step is in float64.
package struct QuantizedLowRankFactor: Sendable, Hashable {
  /// m.
  package let rows: Int
  /// n.
  package let columns: Int
  /// r, in 1...min(m, n).
  package let rank: Int
  package let quantizer: Quantizer
  /// Everything else, as stored; empty for a layer, whose message is that of the `QuantizedLayeredFactor`.
  package let payload: [UInt8]
  /// r components of m integers.
  package let left: [Int16]
  /// r components of n integers.
  package let right: [Int16]
  /// Positive normal numbers of BF16.
  package let scales: [Float]
}

extension QuantizedLowRankFactor {
  /// A factor from an archive, decoded and checked.
  ///
  /// - Throws: `malformed` unless `payload` is what the encoder makes of some symbols and scales.
  package init(payload: [UInt8], rows: Int, columns: Int, rank: Int, quantizer: Quantizer) throws(StorageError) {
    self = try payload.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      let factor = try Self(
        decodedBy: &coder, rows: rows, columns: columns, rank: rank, quantizer: quantizer, payload: payload)
      try coder.finish()
      return factor
    }
  }

  /// What stands next in a message.
  init(
    decodedBy coder: inout RangeDecoder, rows: Int, columns: Int, rank: Int, quantizer: Quantizer, payload: [UInt8] = []
  ) throws(StorageError) {
    try Self.check(rows: rows, columns: columns, rank: rank)
    var models = Models(rows: rows, columns: columns, quantizer)
    try self.init(
      decodedBy: &coder, rows: rows, columns: columns, rank: rank, quantizer: quantizer, models: &models,
      payload: payload)
  }

  /// - Parameter models: what matrices before it have taught.
  init(
    decodedBy coder: inout RangeDecoder, rows: Int, columns: Int, rank: Int, quantizer: Quantizer,
    models: inout Models, payload: [UInt8] = []
  ) throws(StorageError) {
    try Self.check(rows: rows, columns: columns, rank: rank)
    self.rows = rows
    self.columns = columns
    self.rank = rank
    self.quantizer = quantizer
    self.payload = payload
    var left = [Int16](repeating: 0, count: rank * rows)
    var right = [Int16](repeating: 0, count: rank * columns)
    scales = try left.withUnsafeMutableBufferPointer { left throws(StorageError) in
      try right.withUnsafeMutableBufferPointer { right throws(StorageError) in
        try Self.decode(&coder, left, right, &models, rank: rank)
      }
    }
    self.left = left
    self.right = right
  }

  private static func check(rows: Int, columns: Int, rank: Int) throws(StorageError) {
    guard rows >= 1, columns >= 1, rank >= 1, rank <= rows, rank <= columns else {
      throw StorageError(.malformed, "a factor of rank \(rank) cannot make a matrix of \(rows) × \(columns)")
    }
    _ = try rows.multiplied(by: columns, "the number of elements of a matrix")
  }

  private static func decode(
    _ coder: inout RangeDecoder, _ left: UnsafeMutableBufferPointer<Int16>,
    _ right: UnsafeMutableBufferPointer<Int16>, _ models: inout Models, rank: Int
  ) throws(StorageError) -> [Float] {
    let (rows, columns) = (left.count / rank, right.count / rank)
    var scales: [Float] = []
    models.beginMatrix()
    var bits = models.firstScale ?? 0
    for k in 0..<rank {
      var sound = true
      if k == 0 {
        if models.firstScale == nil {
          bits = Int(coder.decode(bits: 15))
        } else {
          withUnsafeTemporaryAllocation(of: Int16.self, capacity: 1) { step in
            sound = models.firstScales.withComponent { $0.decode(step, &coder) }
            bits += Int(step[0])
          }
        }
        models.firstScale = bits
      } else {
        withUnsafeTemporaryAllocation(of: Int16.self, capacity: 1) { step in
          sound = models.scales.withComponent { $0.decode(step, &coder) }
          bits += Int(step[0])
        }
      }
      guard sound, let scale = Float(scaleBits: bits) else {
        throw StorageError(.malformed, "a scale of a factor is not a positive normal number")
      }
      scales.append(scale)
      let leftIsSound = models.left.withComponent { $0.decode(left.run(k, of: rows), &coder) }
      let rightIsSound = models.right.withComponent { $0.decode(right.run(k, of: columns), &coder) }
      guard leftIsSound, rightIsSound else { throw StorageError(.malformed, "a symbol of a factor is too large") }
    }
    return scales
  }

  /// - Precondition: the sizes belong together; the integers are those of symbols; scales are positive normal numbers of BF16.
  package init(
    left: [Int16], right: [Int16], scales: [Float], rows: Int, columns: Int, quantizer: Quantizer = .uniform
  ) {
    precondition(left.count == rows * scales.count && right.count == columns * scales.count && !scales.isEmpty)
    self.rows = rows
    self.columns = columns
    rank = scales.count
    self.quantizer = quantizer
    self.left = left
    self.right = right
    self.scales = scales
    var coder = RangeEncoder()
    var models = Models(rows: rows, columns: columns, quantizer)
    Self.encode(left, right, scales, rows: rows, columns: columns, &models, into: &coder)
    payload = coder.finish()
  }

  /// Puts what there is into a message.
  package func encode(into coder: inout RangeEncoder) {
    var models = Models(rows: rows, columns: columns, quantizer)
    encode(into: &coder, models: &models)
  }

  /// - Parameter models: what matrices before it have taught.
  func encode(into coder: inout RangeEncoder, models: inout Models) {
    Self.encode(left, right, scales, rows: rows, columns: columns, &models, into: &coder)
  }

  private static func encode(
    _ left: [Int16], _ right: [Int16], _ scales: [Float], rows: Int, columns: Int, _ models: inout Models,
    into coder: inout RangeEncoder
  ) {
    models.beginMatrix()
    var before = models.firstScale ?? 0
    left.withUnsafeBufferPointer { left in
      right.withUnsafeBufferPointer { right in
        for (k, scale) in scales.enumerated() {
          let bits = scale.scaleBits
          if k == 0 {
            if models.firstScale == nil {
              coder.encode(bits: UInt32(bits), count: 15)
            } else {
              withUnsafeTemporaryAllocation(of: Int16.self, capacity: 1) { step in
                step[0] = Int16(bits - before)
                models.firstScales.withComponent { $0.encode(.init(step), &coder) }
              }
            }
            models.firstScale = bits
          } else {
            withUnsafeTemporaryAllocation(of: Int16.self, capacity: 1) { step in
              step[0] = Int16(bits - before)
              models.scales.withComponent { $0.encode(.init(step), &coder) }
            }
          }
          before = bits
          models.left.withComponent { $0.encode(left.run(k, of: rows), &coder) }
          models.right.withComponent { $0.encode(right.run(k, of: columns), &coder) }
        }
      }
    }
  }

  package struct Models {
    fileprivate var left: SymbolModels
    fileprivate var right: SymbolModels
    fileprivate var scales = SymbolModels(length: 1, neighbours: .place)
    /// Of the first scales of matrices behind the first.
    fileprivate var firstScales = SymbolModels(length: 1, neighbours: .place)
    /// Of the matrix before.
    fileprivate var firstScale: Int?

    init(rows: Int, columns: Int, _ quantizer: Quantizer) {
      left = SymbolModels(length: rows, neighbours: .place, quantizer: quantizer)
      right = SymbolModels(length: columns, neighbours: .place, quantizer: quantizer)
    }

    fileprivate mutating func beginMatrix() {
      left.beginMatrix()
      right.beginMatrix()
      scales.beginMatrix()
    }
  }

  /// The same as a part of something else, whose message holds it.
  var withoutPayload: QuantizedLowRankFactor {
    QuantizedLowRankFactor(
      rows: rows, columns: columns, rank: rank, quantizer: quantizer, payload: [], left: left, right: right,
      scales: scales)
  }
}

extension Quantizer {
  /// What an integer stands for, as a share of the step: a trellis whose integers are 0.66 steps apart takes about as many
  /// bits as the uniform quantiser, with less error.
  fileprivate var relativeUnit: Double { self == .trellis ? 0.66 : 1 }
}

extension Float {
  /// The number whose upper half has these bits; nil unless it is positive, normal and finite.
  init?(scaleBits bits: Int) {
    guard bits >= 0x0080, bits <= 0x7F7F else { return nil }
    self.init(bitPattern: UInt32(bits) << 16)
  }

  /// - Precondition: it is a number of BF16.
  var scaleBits: Int { Int(bitPattern >> 16) }

  /// The nearest positive normal number of BF16; nil if there is none near.
  fileprivate init?(scaleNearest value: Double) {
    let float = Float(value)
    guard float.isNormal, float > 0 else { return nil }
    self.init(scaleBits: Int((float.bitPattern + 0x7FFF + (float.bitPattern >> 16 & 1)) >> 16))
  }
}

extension QuantizedLowRankFactor {
  /// The leading `rank` triplets, U diag(σ) and V diag(σ) quantised with one step.
  ///
  /// The symbols near the numbers are chosen for which squared error + `slope` · step² · bits is least. Components of
  /// which nothing is left are dropped.
  ///
  /// - Parameters:
  ///   - step: positive; in units of the matrix.
  ///   - leastGain: the squared error that a component must take away for each of its bits; 0 keeps all.
  ///   - chosen: how each scale follows from its component's symbols.
  ///   - energy: ‖A‖²; nil where the triplets are all that A has.
  /// - Returns: nil when no component is left, or values are at the ends of float32's range.
  package init?(
    quantizing vectors: SingularVectors, rank: Int = .max, step: Double, slope: Double = RateSetting.slope,
    leastGain: Double = 0, quantizer: Quantizer = .trellis, scales chosen: ComponentScales = .nearest,
    energy: Double? = nil
  ) {
    let (rows, columns) = (vectors.rows, vectors.columns)
    let largest = vectors.singularValues.reduce(0, max)
    guard largest > 0, largest.isFinite, step > 0 else { return nil }
    let energy = energy ?? vectors.singularValues.reduce(0) { $0 + $1 * $1 }
    // What an integer stands for. No finer than symbols can be.
    let unit = max(step * quantizer.relativeUnit, largest / Double(SymbolModels.largest - 2))
    let price = slope * step * step
    let slope = Float(price / (unit * unit))
    var left: [Int16] = []
    var right: [Int16] = []
    var scales: [Float] = []
    var models = Models(rows: rows, columns: columns, quantizer)
    var weak = 0
    vectors.left.withUnsafeBufferPointer { lefts in
      vectors.right.withUnsafeBufferPointer { rights in
        for k in 0..<min(rank, vectors.rank) {
          let value = vectors.singularValues[k]
          let factor = Float(value / unit)
          guard factor > 0.5, factor.isFinite else { continue }
          var tried = models
          guard let one = QuantizedUnitVector(lefts.run(k, of: rows), factor, slope: slope, &tried.left),
            let other = QuantizedUnitVector(rights.run(k, of: columns), factor, slope: slope, &tried.right),
            let scale = Float(
              scaleNearest: value * one.gain * other.gain
                * chosen.factor(
                  left: one.likeness, right: other.likeness, value: value, rows: rows, columns: columns, energy: energy)
            )
          else { continue }
          let likeness = one.likeness * other.likeness
          let isNoise = likeness < chosen.leastLikeness && !scales.isEmpty
          if isNoise || value * value * likeness < leastGain * (one.bits + other.bits) {
            weak += 1
            // The values fall: what follows is hardly better.
            if weak == 8 { break }
            continue
          }
          weak = 0
          models = tried
          left += one.integers
          right += other.integers
          scales.append(scale)
        }
      }
    }
    guard !scales.isEmpty else { return nil }
    self.init(left: left, right: right, scales: scales, rows: rows, columns: columns, quantizer: quantizer)
  }
}

/// A unit vector times a factor, quantised.
private struct QuantizedUnitVector {
  package let integers: [Int16]
  /// What the integers are to be multiplied by to be nearest to the unit vector.
  package let gain: Double
  /// The share of the unit vector's energy that they then have.
  let likeness: Double
  package let bits: Double

  /// - Returns: nil when nothing is left of it.
  init?(_ vector: UnsafeBufferPointer<Float>, _ factor: Float, slope: Float, _ models: inout SymbolModels) {
    guard vector.largestMagnitude * factor > 0.5 else { return nil }
    let count = vector.count
    var bits = 0.0
    let integers = [Int16](unsafeUninitializedCapacity: count) { integers, initialized in
      let target = UnsafeMutableBufferPointer(rebasing: integers[..<count])
      withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { scaled in
        for i in 0..<count { scaled[i] = vector[i] * factor }
        bits = models.withComponent { $0.quantize(.init(scaled), slope: slope, into: target) }
      }
      initialized = count
    }
    var along = 0.0
    var energy = 0.0
    for i in 0..<count {
      along += Double(vector[i]) * Double(integers[i])
      energy += Double(integers[i]) * Double(integers[i])
    }
    guard along > 0 else { return nil }
    self.integers = integers
    self.bits = bits
    gain = along / energy
    likeness = along * along / energy
  }
}
