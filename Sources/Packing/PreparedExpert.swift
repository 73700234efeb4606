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

  /// Of the tensors of which a setting may make use of more triplets than there are, how many.
  func wantedRanks(at setting: RateSetting) -> [ExactString: Int] {
    tensors.compactMapValues { $0.wantedRank(at: setting) }
  }

  /// With some tensors in the place of those that there are.
  package func replacing(_ fresh: [ExactString: PreparedTensor]) -> PreparedExpert {
    PreparedExpert(tensors: tensors.merging(fresh) { $1 }, small: small, largeBytes: largeBytes)
  }

  /// About what the tensors take, entries among it, and lose.
  package func estimate(at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>) -> (
    bytes: Double, squaredError: Double
  ) {
    var sum = (bytes: Double(small.reduce(largeBytes) { $0 + $1.storedBytes }), squaredError: 0.0)
    for tensor in tensors.values {
      let one = tensor.estimate(at: setting, codecs)
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

  /// How many triplets a setting may make use of, where it is more than were computed.
  func wantedRank(at setting: RateSetting) -> Int? {
    guard let values = stored?.singularValues, let last = values.last, values.count < min(rows, columns) else {
      return nil
    }
    let point = setting.point(singularValues: values, rows: rows, columns: columns)
    let least = point.leastSingularValue(rows: rows, columns: columns)
    // A matrix of low rank has no more, whatever its sides.
    guard values.count < point.rank, last > least, energy - values.reduce(0, { $0 + $1 * $1 }) > 1e-6 * energy else {
      return nil
    }
    return QuantizableTensor.nextRank(
      after: values.count, of: min(rows, columns), falling: values[values.count / 2], to: last, level: least)
  }

  package func estimate(at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>) -> RateEstimate {
    RateEstimate(
      singularValues: stored?.singularValues ?? [], rows: rows, columns: columns, energy: energy, at: setting, codecs)
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
