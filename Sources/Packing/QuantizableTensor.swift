import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// A tensor of an exclusive vector made ready to be quantised: its singular vectors.
package struct QuantizableTensor: Sendable {
  package let rows: Int
  package let columns: Int
  /// ‖v‖²
  package let energy: Double
  /// The leading triplets; nil for what is no matrix.
  package let vectors: SingularVectors?

  /// What an entry takes in the manifest beside the payload, compressed: mostly the digest of its source.
  package static let entryOverhead = 96

  package init(rows: Int, columns: Int, energy: Double, vectors: SingularVectors?) {
    self.rows = rows
    self.columns = columns
    self.energy = energy
    self.vectors = vectors
  }

  /// How many triplets to compute, if there are as many.
  package enum Demand: Sendable {
    case atMost(Int)
    /// As many as leave at most this share of the energy to the rest, or all of a small matrix.
    case energy(missing: Double)

    /// For a relative error over many tensors. What may be lost is mostly left to the rest where all matrices keep as many
    /// components, and about half to the quantiser where all have the same step.
    static func error(_ target: Double, _ objective: RateControl.Objective) -> Demand {
      .energy(missing: (objective == .balanced ? 0.8 : 0.4) * target * target)
    }
  }

  package init(_ vector: borrowing ExclusiveVector, shape: Shape, _ demand: Demand) throws(StorageError) {
    switch demand {
    case .atMost(let rank): try self.init(vector, shape: shape, rank: rank)
    case .energy(let missing): try self.init(vector, shape: shape, missing: missing)
    }
  }

  /// All triplets of a matrix with a side of this many cost little more than some.
  private static let smallSide = 1024

  private init(_ vector: borrowing ExclusiveVector, shape: Shape, missing share: Double) throws(StorageError) {
    let side = shape.matrix.map { min($0.rows, $0.columns) } ?? 1
    var rank = side <= Self.smallSide ? side : 64
    while true {
      let candidate = try QuantizableTensor(vector, shape: shape, rank: rank)
      let missing = candidate.missingEnergy(beyond: rank)
      let level = share * candidate.energy
      if rank >= side || missing <= level {
        self = candidate
        return
      }
      rank = Self.nextRank(
        after: rank, of: side, falling: candidate.missingEnergy(beyond: rank / 2), to: missing, level: level)
    }
  }

  /// Where a value of a spectrum will have reached a level, if it falls on with each doubling of the rank as it did with the last.
  ///
  /// - Parameters:
  ///   - side: the shorter one of the matrix: all triplets are as quick as more than a quarter of them.
  ///   - half, end: the value at half of the rank, and there.
  /// - Returns: at least twice the rank, but no more than `side`.
  static func nextRank(after rank: Int, of side: Int, falling half: Double, to end: Double, level: Double) -> Int {
    var next = rank
    var value = end
    repeat {
      next *= 2
      value *= end / half
    } while value > level && next <= side / 4
    return next > side / 4 ? side : next
  }

  /// ‖v‖² without that of the first triplets.
  private func missingEnergy(beyond rank: Int) -> Double {
    vectors.map { energy - $0.singularValues.prefix(rank).reduce(0) { $0 + $1 * $1 } } ?? 0
  }

  package init(_ vector: borrowing ExclusiveVector, shape: Shape, rank: Int) throws(StorageError) {
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
      of: MatrixView(vector.values, rows: rows, columns: columns), rank: min(rank, rows, columns))
  }

  /// As many triplets as a setting can make use of.
  package init(_ vector: borrowing ExclusiveVector, shape: Shape, for setting: RateSetting) throws(StorageError) {
    var rank = setting.objective == .balanced ? Int(min(setting.quality.rounded(.up), 0x1p31)) : 32
    while true {
      let candidate = try QuantizableTensor(vector, shape: shape, rank: rank)
      guard let vectors = candidate.vectors, vectors.rank == rank, vector.product == nil,
        setting.needsMore(than: vectors.singularValues, rows: candidate.rows, columns: candidate.columns)
      else {
        self = candidate
        return
      }
      rank *= 4
    }
  }

  /// The cheapest form at a setting.
  ///
  /// - Parameter values: lends the vector's elements, where they are needed.
  package func encoding(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>,
    values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try QuantizedFactor.encode(
      values, rows: rows, columns: columns, vectors: vectors, energy: energy, at: point(of: setting),
      overhead: Self.entryOverhead, codecs: vectors == nil ? codecs.union([.dense]) : codecs)
  }

  /// A given form, with steps that are finer than a setting's by a factor.
  package func encoding(
    as form: QuantizedFactor.Form?, at setting: RateSetting, fineness: Double,
    values: (_ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) -> Void
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try QuantizedFactor.encode(
      values, rows: rows, columns: columns, vectors: vectors, energy: energy, as: form,
      step: point(of: setting).step / fineness)
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
