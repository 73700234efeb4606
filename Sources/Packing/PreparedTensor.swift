import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackJournal
import TMPackTensorKit

/// What is kept of one tensor; its singular vectors are read again when they are needed.
package struct PreparedTensor: Sendable {
  /// nil for one matrix, or what is none.
  package let stack: MatrixStack?
  /// nil for matrices of a stack that are all zeros.
  private let matrices: [PreparedMatrix?]
  private let vectors: SpilledNumbers<Float>?
  package let energy: Double

  /// - Parameter record: an `AnalysedTensor`'s, which ends with the vectors; nil puts them into `scratch`.
  package init(_ tensor: QuantizableTensor, in record: StoredJob?, or scratch: ScratchFile) throws(StorageError) {
    energy = tensor.energy
    let own: [QuantizableMatrix?]
    switch tensor {
    case .one(let matrix): (stack, own) = (nil, [matrix])
    case .stack(let stack, let matrices): (self.stack, own) = (stack, matrices)
    }
    var matrices: [PreparedMatrix?] = []
    var parts: [[Float]] = []
    var start = 0
    for matrix in own {
      matrices.append(matrix.map { PreparedMatrix($0, vectorsFrom: start) })
      guard let vectors = matrix?.vectors else { continue }
      parts += [vectors.left, vectors.right]
      start += vectors.left.count + vectors.right.count
    }
    self.matrices = matrices
    vectors = parts.isEmpty ? nil : try SpilledNumbers(parts, in: record, or: scratch)
  }

  func knownQuality(_ rate: RateControl, atMost limit: Int) -> Double {
    matrices.reduce(.infinity) { min($0, $1?.knownQuality(rate, atMost: limit) ?? .infinity) }
  }

  /// Whether a matrix makes use of all triplets that there are, and might of more.
  func isExhausted(by form: QuantizedFactor.Form, _ setting: RateSetting, atMost limit: Int) -> Bool {
    matrices.indices.contains { number in
      guard let matrix = matrices[number], let rank = (stack == nil ? form : form.ofMatrix(number))?.rank else {
        return false
      }
      return matrix.isExhausted(by: rank, setting, atMost: limit)
    }
  }

  /// nil where all triplets are known.
  var foreseenSpectra: ForeseenSpectra? {
    let spectra = matrices.map { $0?.foreseenSpectrum }
    return spectra.contains { $0 != nil } ? spectra : nil
  }

  /// How many triplets a setting is likely to make use of, with some to spare, where it is more than were computed: in the matrix
  /// that asks for the most.
  func foreseenRank(at setting: RateSetting, _ spectra: ForeseenSpectra, atMost limit: Int) -> Int? {
    zip(matrices, spectra).compactMap { matrix, spectrum in
      spectrum.flatMap { matrix?.foreseenRank(at: setting, $0, atMost: limit) }
    }.max()
  }

  package func estimate(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, _ spectra: ForeseenSpectra? = nil
  ) -> RateEstimate {
    var sum = RateEstimate()
    for (number, matrix) in matrices.enumerated() {
      guard let one = matrix?.estimate(at: setting, codecs, spectra?[number]) else { continue }
      sum.bits += one.bits
      sum.squaredError += one.squaredError
    }
    return sum
  }

  /// With its singular vectors in memory again.
  package func loaded() throws(StorageError) -> QuantizableTensor {
    let loaded = try matrices.map { matrix throws(StorageError) in
      try matrix.map { matrix throws(StorageError) in try matrix.loaded(from: vectors) }
    }
    guard let stack else { return .one(loaded[0]!) }
    return .stack(stack, loaded)
  }
}

/// Of the matrices of a tensor; nil for those of which all triplets are known.
package typealias ForeseenSpectra = [ForeseenSpectrum?]
