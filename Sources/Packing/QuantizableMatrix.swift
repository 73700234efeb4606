import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// A matrix of an exclusive vector made ready to be quantised: its singular vectors. Or what is no matrix, as one row.
package struct QuantizableMatrix: Sendable {
  package let rows: Int
  package let columns: Int
  /// ‖v‖²
  package let energy: Double
  /// The leading triplets; nil for what is no matrix.
  package let vectors: SingularVectors?

  package init(rows: Int, columns: Int, energy: Double, vectors: SingularVectors?) {
    self.rows = rows
    self.columns = columns
    self.energy = energy
    self.vectors = vectors
  }

  /// How many triplets to compute, if there are as many.
  package enum Demand: Sendable {
    case atMost(Int)
    /// What a search starts with.
    case start(SearchStart)
  }

  package init(_ vector: borrowing ExclusiveVector, shape: Shape, _ demand: Demand) throws(StorageError) {
    switch demand {
    case .atMost(let rank): try self.init(vector, shape: shape, rank: rank)
    case .start(let start): try self.init(vector, shape: shape, rank: start.rank(of: shape))
    }
  }

  /// All triplets are as quick as more than a quarter of them.
  static func rank(_ wanted: Int, of side: Int) -> Int { wanted > side / 4 ? side : wanted }

  /// - Parameter weights: by which the triplets are weighed.
  package init(
    _ vector: borrowing ExclusiveVector, shape: Shape, rank: Int, weights: MatrixWeights? = nil
  ) throws(StorageError) {
    energy = vector.energy
    guard let (rows, columns) = shape.matrix, min(rows, columns) > 1 else {
      // As `quantized` reads it (TMP-6-21).
      (rows, columns) = shape.matrix ?? (1, shape.elementCount)
      vectors = nil
      return
    }
    (self.rows, self.columns) = (rows, columns)
    if let known = vector.knownVectors {
      vectors = known
      return
    }
    vectors = try SingularVectors(
      of: MatrixView(vector.values, rows: rows, columns: columns), rank: min(rank, rows, columns),
      left: weights?.rows, right: weights?.columns)
  }

  /// As many triplets as a setting can make use of.
  package init(
    _ vector: borrowing ExclusiveVector, shape: Shape, weights: MatrixWeights? = nil, for setting: RateSetting
  ) throws(StorageError) {
    var rank = setting.objective == .balanced ? Int(min(setting.quality.rounded(.up), 0x1p31)) : 32
    while true {
      let candidate = try QuantizableMatrix(vector, shape: shape, rank: rank, weights: weights)
      guard let vectors = candidate.vectors, vectors.rank == rank, vector.product == nil,
        setting.needsMore(than: vectors.singularValues, rows: candidate.rows, columns: candidate.columns)
      else {
        self = candidate
        return
      }
      rank *= 4
    }
  }

  /// The triplets without those that are rounding errors, where no more than so many are all that there is: of an adapter that was
  /// merged.
  func components(ifAtMost limit: Int) -> SingularVectors? {
    guard let vectors else { return nil }
    var left = energy
    for (index, value) in vectors.singularValues.prefix(min(limit, (min(rows, columns) - 1) / 2)).enumerated() {
      left -= value * value
      if left <= Self.rounding * energy { return vectors.leading(index + 1) }
    }
    return nil
  }

  /// Of an energy.
  private static let rounding = 1e-6

  /// The cheapest form at a setting.
  ///
  /// - Parameters:
  ///   - overhead: bytes that it takes beside the payload.
  ///   - values: lends the vector's elements, where they are needed.
  package func encoding(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, overhead: Int,
    values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try QuantizedFactor.encode(
      values, rows: rows, columns: columns, vectors: vectors, energy: energy, at: point(of: setting),
      overhead: overhead, codecs: vectors == nil ? codecs.union([.dense]) : codecs)
  }

  /// A given form, with steps that are finer than a setting's by a factor.
  package func encoding(
    as form: QuantizedFactor.Form?, at setting: RateSetting, fineness: Double,
    values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    let point = point(of: setting)
    return try QuantizedFactor.encode(
      values, rows: rows, columns: columns, vectors: vectors, energy: energy, as: form, step: point.step / fineness,
      scales: point.scales)
  }

  private func point(of setting: RateSetting) -> RateSetting.Point {
    if let vectors { return setting.point(singularValues: vectors.singularValues, rows: rows, columns: columns) }
    return setting.point(rms: (energy / (Double(rows) * Double(columns))).squareRoot())
  }
}

extension RateSetting {
  /// Whether triplets beyond those of the given singular values may still be worth coding.
  fileprivate func needsMore(than singularValues: [Double], rows: Int, columns: Int) -> Bool {
    guard singularValues.count < min(rows, columns), let last = singularValues.last else { return false }
    switch objective {
    case .balanced: return false
    case .leastError:
      // A component is dropped when no entry of U·σ or V·σ reaches half a step; entries seldom exceed four times their RMS.
      let rms = last / Double(min(rows, columns)).squareRoot()
      return 4 * rms > 0.5 / quality
    }
  }
}
