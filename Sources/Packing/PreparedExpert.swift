import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackJournal

/// An expert whose exclusive vectors are ready to be quantised at any rate: singular vectors are computed once and kept on disk.
struct PreparedExpert: Sendable {
  /// By tensor name; those that rate control decides on.
  package let tensors: [ExactString: PreparedTensor]
  /// What does not depend on the rate, exact tensors and fixed factors, where it is small: what it takes shows only beside the
  /// others that it shares frames with.
  package let small: [PackedTensor]
  /// Stored bytes of the rest of that.
  let largeBytes: UInt64

  package var energy: Double { tensors.values.reduce(0) { $0 + $1.energy } }

  /// Up to which quality no more triplets are of use than there are, or may be.
  func knownQuality(_ rate: RateControl, atMost limit: Int) -> Double {
    tensors.values.reduce(.infinity) { min($0, $1.knownQuality(rate, atMost: limit)) }
  }

  /// Whether a matrix makes use of all triplets that there are, and might of more.
  func isExhausted(by factors: [ExactString: KeptFactor], _ setting: RateSetting, atMost limit: Int) -> Bool {
    tensors.contains { name, tensor in
      factors[name]?.form?.rank.map { tensor.isExhausted(by: $0, setting, atMost: limit) } ?? false
    }
  }

  /// Of the matrices of which only some triplets are known.
  func foreseenSpectra() -> [ExactString: ForeseenSpectrum] { tensors.compactMapValues(\.foreseenSpectrum) }

  /// Of the tensors of which a setting is likely to make use of more triplets than there are, how many.
  func foreseenRanks(
    at setting: RateSetting, _ spectra: [ExactString: ForeseenSpectrum], atMost limit: Int
  ) -> [ExactString: Int] {
    var ranks: [ExactString: Int] = [:]
    for (name, spectrum) in spectra {
      ranks[name] = tensors[name]!.foreseenRank(at: setting, spectrum, atMost: limit)
    }
    return ranks
  }

  /// With some tensors in the place of those that there are.
  package func replacing(_ fresh: [ExactString: PreparedTensor]) -> PreparedExpert {
    PreparedExpert(tensors: tensors.merging(fresh) { $1 }, small: small, largeBytes: largeBytes)
  }

  /// About what the tensors take, entries among it, and lose.
  ///
  /// - Parameter spectra: of the tensors that are to be taken with what is foreseen of them.
  package func estimate(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, _ spectra: [ExactString: ForeseenSpectrum] = [:]
  ) -> (bytes: Double, squaredError: Double) {
    var sum = (bytes: Double(small.reduce(largeBytes) { $0 + $1.storedBytes }), squaredError: 0.0)
    for (name, tensor) in tensors {
      let one = tensor.estimate(at: setting, codecs, spectra[name])
      sum.bytes += one.bits / 8 + Double(QuantizableTensor.entryOverhead)
      sum.squaredError += one.squaredError
    }
    return sum
  }
}

/// What is kept of one tensor; its values are read again when they are needed.
package struct PreparedTensor: Sendable {
  package let rows: Int
  package let columns: Int
  package let energy: Double
  private let stored: StoredVectors?

  private struct StoredVectors: Sendable {
    let singularValues: [Double]
    /// The left vectors and then the right ones.
    let vectors: KeptNumbers<Float>
  }

  /// - Parameter record: an `AnalysedTensor`'s, which ends with the vectors; nil puts them into `scratch`.
  package init(_ tensor: QuantizableTensor, in record: StoredJob?, or scratch: ScratchFile) throws(StorageError) {
    rows = tensor.rows
    columns = tensor.columns
    energy = tensor.energy
    stored = try tensor.vectors.map { vectors throws(StorageError) in
      StoredVectors(
        singularValues: vectors.singularValues,
        vectors: try KeptNumbers([vectors.left, vectors.right], in: record, or: scratch))
    }
  }

  /// The triplets that were computed, where there are more that matter: a matrix of low rank has no more, whatever its sides.
  private var leadingValues: [Double]? {
    guard let values = stored?.singularValues, values.count < min(rows, columns) else { return nil }
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
    return min(QuantizableTensor.rank(wanted, of: min(rows, columns)), limit)
  }

  package func estimate(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, _ spectrum: ForeseenSpectrum? = nil
  ) -> RateEstimate {
    RateEstimate(
      singularValues: spectrum?.values ?? stored?.singularValues ?? [], rows: rows, columns: columns, energy: energy,
      at: setting, codecs)
  }

  /// With its singular vectors in memory again.
  package func loaded() throws(StorageError) -> QuantizableTensor {
    guard let stored else { return QuantizableTensor(rows: rows, columns: columns, energy: energy, vectors: nil) }
    let rank = stored.singularValues.count
    let both = try stored.vectors.loaded()
    let vectors = SingularVectors(
      rows: rows, columns: columns, singularValues: stored.singularValues, left: Array(both[..<(rank * rows)]),
      right: Array(both[(rank * rows)...]))
    return QuantizableTensor(rows: rows, columns: columns, energy: energy, vectors: vectors)
  }
}
