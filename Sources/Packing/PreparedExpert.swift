import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackJournal

/// An expert whose exclusive vectors are ready to be quantised at any rate: singular vectors are computed once and kept on disk.
struct PreparedExpert: Sendable {
  /// By tensor name; those that rate control decides on.
  package let tensors: [ExactString: PreparedTensor]
  /// Their names, sorted: sums are taken in this order, so that they are the same in every run.
  private let names: [ExactString]
  /// What does not depend on the rate, exact tensors and fixed factors, where it is small: what it takes shows only beside the
  /// others that it shares frames with.
  package let small: [PackedTensor]
  /// Stored bytes of the rest of that.
  let largeBytes: UInt64

  init(tensors: [ExactString: PreparedTensor], small: [PackedTensor], largeBytes: UInt64) {
    self.tensors = tensors
    self.small = small
    self.largeBytes = largeBytes
    names = tensors.keys.sorted { $0.text.precedesInBytes($1.text) }
  }

  package var energy: Double { names.reduce(0) { $0 + tensors[$1]!.energy } }

  /// Up to which quality no more triplets are of use than there are, or may be.
  func knownQuality(_ rate: RateControl, atMost limit: Int) -> Double {
    tensors.values.reduce(.infinity) { min($0, $1.knownQuality(rate, atMost: limit)) }
  }

  /// Whether a matrix makes use of all triplets that there are, and might of more.
  func isExhausted(by factors: [ExactString: SpilledFactor], _ setting: RateSetting, atMost limit: Int) -> Bool {
    tensors.contains { name, tensor in
      factors[name]?.form.map { tensor.isExhausted(by: $0, setting, atMost: limit) } ?? false
    }
  }

  /// Of the matrices of which only some triplets are known.
  func foreseenSpectra() -> [ExactString: ForeseenSpectra] { tensors.compactMapValues(\.foreseenSpectra) }

  /// Of the tensors of which a setting is likely to make use of more triplets than there are, how many.
  func foreseenRanks(
    at setting: RateSetting, _ spectra: [ExactString: ForeseenSpectra], atMost limit: Int
  ) -> [ExactString: Int] {
    var ranks: [ExactString: Int] = [:]
    for (name, spectra) in spectra {
      ranks[name] = tensors[name]!.foreseenRank(at: setting, spectra, atMost: limit)
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
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>, _ spectra: [ExactString: ForeseenSpectra] = [:]
  ) -> (bytes: Double, squaredError: Double) {
    var sum = (bytes: Double(small.reduce(largeBytes) { $0 + $1.storedBytes }), squaredError: 0.0)
    for name in names {
      let one = tensors[name]!.estimate(at: setting, codecs, spectra[name])
      sum.bytes += one.bits / 8 + Double(QuantizableTensor.entryOverhead)
      sum.squaredError += one.squaredError
    }
    return sum
  }
}
