import TMPackByteIO
import TMPackFactorization
import TMPackFactors

/// What is kept of one matrix of a tensor; its vectors are read again when they are needed.
struct PreparedMatrix: Sendable {
  let rows: Int
  let columns: Int
  let energy: Double
  /// nil for what is no matrix.
  private let singularValues: [Double]?
  /// The left vectors and then the right ones, among those of all the tensor's matrices.
  private let vectors: Range<Int>

  /// - Parameter start: where its vectors begin among those of all the tensor's matrices.
  init(_ matrix: QuantizableMatrix, vectorsFrom start: Int) {
    rows = matrix.rows
    columns = matrix.columns
    energy = matrix.energy
    singularValues = matrix.vectors?.singularValues
    vectors = start..<start + (matrix.vectors.map { $0.left.count + $0.right.count } ?? 0)
  }

  /// The triplets that were computed, where there are more that matter: a matrix of low rank has no more, whatever its sides.
  private var leadingValues: [Double]? {
    guard let values = singularValues, values.count < min(rows, columns) else { return nil }
    return energy - values.reduce(0, { $0 + $1 * $1 }) > 1e-6 * energy ? values : nil
  }

  func knownQuality(_ rate: RateControl, atMost limit: Int) -> Double {
    guard let values = leadingValues, let last = values.last, values.count < limit else { return .infinity }
    switch rate.objective {
    case .balanced:
      let quality = Double(values.count)
      let point = rate.setting(quality: quality).point(singularValues: values, rows: rows, columns: columns)
      return last > point.leastSingularValue(rows: rows, columns: columns) ? quality : .infinity
    case .leastError: return Self.usedValue(RateSetting.Point(step: 1), rows, columns) / last
    }
  }

  func isExhausted(by rank: Int, _ setting: RateSetting, atMost limit: Int) -> Bool {
    guard let values = leadingValues, values.count < limit else { return false }
    let point = setting.point(singularValues: values, rows: rows, columns: columns)
    return point.rank > values.count && rank > values.count - values.count / 16
  }

  /// Components of less are not used, in practice: 0.65 steps everywhere on the longer side are as good as nothing. Where they are
  /// used all the same, `isExhausted` tells.
  private static func usedValue(_ point: RateSetting.Point, _ rows: Int, _ columns: Int) -> Double {
    point.leastSingularValue(rows: rows, columns: columns) / 0.47
  }

  var foreseenSpectrum: ForeseenSpectrum? {
    leadingValues.map { ForeseenSpectrum(known: $0, side: min(rows, columns), energy: energy) }
  }

  /// How many triplets a setting is likely to make use of, with some to spare, where it is more than were computed.
  func foreseenRank(at setting: RateSetting, _ spectrum: ForeseenSpectrum, atMost limit: Int) -> Int? {
    let point = setting.point(singularValues: spectrum.values, rows: rows, columns: columns)
    let least = Self.usedValue(point, rows, columns)
    let used = min(point.rank, spectrum.values.partitioningIndex { $0 <= least })
    guard used > spectrum.known, spectrum.known < limit else { return nil }
    // A flat tail that is only foreseen makes all of a fine step's difference: not too far at once.
    let wanted = min(max(used + used / 8, 2 * spectrum.known), 4 * spectrum.known)
    return min(QuantizableMatrix.rank(wanted, of: min(rows, columns)), limit)
  }

  func estimate(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, _ spectrum: ForeseenSpectrum? = nil
  ) -> RateEstimate {
    RateEstimate(
      singularValues: spectrum?.values ?? singularValues ?? [], rows: rows, columns: columns, energy: energy,
      at: setting, codecs)
  }

  /// With its singular vectors in memory again.
  func loaded(from all: SpilledNumbers<Float>?) throws(StorageError) -> QuantizableMatrix {
    guard let singularValues, let all else {
      return QuantizableMatrix(rows: rows, columns: columns, energy: energy, vectors: nil)
    }
    let rank = singularValues.count
    let both = try all.loaded(vectors)
    let vectors = SingularVectors(
      rows: rows, columns: columns, singularValues: singularValues, left: Array(both[..<(rank * rows)]),
      right: Array(both[(rank * rows)...]))
    return QuantizableMatrix(rows: rows, columns: columns, energy: energy, vectors: vectors)
  }
}
