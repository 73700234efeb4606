import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackPacking
import TMPackParallel
import TMPackTensorKit

/// What the sampled tensors of one expert take and lose at any quality.
struct RateCurve {
  package let rate: RateControl
  package let pipeline: OrderedPipeline
  let populations: [Int]
  private var searchable: [(name: ExactString, tensor: SearchableTensor, stratum: Int, isRepeated: Bool)] = []
  /// Tensors that no rate changes.
  private var fixed: StratifiedSample
  /// Stored bytes of the expert without its tensors.
  let emptyBytes: Double
  /// Seconds that one look at a quality took, for all tensors on one thread; the last.
  private(set) var lookSeconds = 0.0

  init(rate: RateControl, pipeline: OrderedPipeline, populations: [Int], emptyBytes: Double) {
    self.rate = rate
    self.pipeline = pipeline
    self.populations = populations
    self.emptyBytes = emptyBytes
    fixed = StratifiedSample(populations: populations)
  }

  /// - Parameter isRepeated: whether an earlier expert has the same tensor; it is stored again at another quality.
  package mutating func add(_ tensor: SampledTensor, named name: String, stratum: Int, isRepeated: Bool) {
    if let own = tensor.searchable {
      // One search of all experts gives them one quality.
      let isStored = if case .archiveBytes = rate.target { isRepeated } else { false }
      searchable.append((ExactString(name), own, stratum, isStored))
    } else if let packed = tensor.packed {
      fixed.add(.init(size: Double(packed.storedBytes)), to: stratum)
    }
  }

  package var isEmpty: Bool { searchable.isEmpty }

  /// About what the expert takes and loses, without encoding anything: a search is led by it.
  package func estimate(at quality: Double) -> (bytes: Double, error: Double) {
    let (setting, codecs) = (rate.setting(quality: quality), rate.quantizedCodecs)
    var (sample, lost) = (fixed, StratifiedSample(populations: populations))
    for (_, tensor, stratum, isRepeated) in searchable {
      let one = tensor.estimate(at: setting, codecs)
      sample.add(.init(size: size(Int(one.bits / 8), isRepeated: isRepeated)), to: stratum)
      lost.add(.init(energy: tensor.energy, lost: one.squaredError), to: stratum)
    }
    return (emptyBytes + sample.total(\.size).value, lost.relativeError?.value ?? 0)
  }

  /// Of an entry and its payload, if that is not there already.
  private func size(_ payload: Int, isRepeated: Bool) -> Double {
    let isThere = isRepeated && payload > EncodedPayload.pooledSize
    return Double(QuantizableTensor.entryOverhead + (isThere ? 0 : payload))
  }

  /// Makes the factor of a sampled tensor at a quality, from the singular vectors that are there.
  package func maker(quality: Double) -> NamedFactorMaker {
    let (setting, codecs) = (rate.setting(quality: quality), rate.quantizedCodecs)
    let tensors = Dictionary(uniqueKeysWithValues: searchable.map { ($0.name, $0.tensor) })
    return { name in
      tensors[ExactString(name)].map { SampledFactor(tensor: $0, setting: setting, codecs: codecs) }
    }
  }

  /// Stored bytes of the expert, nearly, and its relative error over the tensors that the rate concerns.
  package mutating func outcome(at quality: Double) throws(StorageError) -> (bytes: Double, error: Double) {
    let setting = rate.setting(quality: quality)
    let (codecs, searchable) = (rate.quantizedCodecs, searchable)
    var sample = fixed
    var lost = StratifiedSample(populations: populations)
    try pipeline.run(searchable.count) { index throws(StorageError) -> (Int, Double, Double) in
      let start = ContinuousClock.now
      let (bytes, lost) = try searchable[index].tensor.outcome(at: setting, codecs)
      return (bytes, lost, (ContinuousClock.now - start) / .seconds(1))
    } consume: { index, result in
      let (bytes, squared, seconds) = result
      let (_, tensor, stratum, isRepeated) = searchable[index]
      sample.add(.init(size: size(bytes, isRepeated: isRepeated)), to: stratum)
      lost.add(.init(energy: tensor.energy, lost: squared, seconds: seconds), to: stratum)
    }
    lookSeconds = lost.total(\.seconds).value
    return (emptyBytes + sample.total(\.size).value, lost.relativeError?.value ?? 0)
  }
}

extension RateCurve {
  /// By what share the error falls for a share more bytes; nil where it does not.
  package func slope(at quality: Double) -> Double? {
    let (here, above) = (estimate(at: quality), estimate(at: 1.25 * quality))
    let (gain, price) = (1 - above.error / here.error, above.bytes / here.bytes - 1)
    return gain > 0 && price > 0 ? gain / price : nil
  }
}

/// From the singular vectors that are there.
private struct SampledFactor: FactorMaker {
  let tensor: SearchableTensor
  let setting: RateSetting
  let codecs: Set<QuantizedFactor.Codec>

  func stack(for _: ExclusiveTensor) -> MatrixStack? { tensor.stack }

  func factor(of _: borrowing ExclusiveVector, shape _: Shape) throws(StorageError) -> Factor? {
    try tensor.factor(at: setting, codecs)
  }

  func factor(of _: ExclusiveTensor, as _: MatrixStack) throws(StorageError) -> Factor? {
    try tensor.factor(at: setting, codecs)
  }
}
