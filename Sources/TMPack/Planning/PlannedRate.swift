import ByteIO
import Factorization
import TensorKit

/// What the sampled tensors of one expert take and lose at any quality.
struct RateCurve {
  let rate: RateControl
  let scratch: ScratchFile
  let pipeline: OrderedPipeline
  let populations: [Int]
  private var searchable: [(name: ExactString, tensor: SearchableTensor, stratum: Int)] = []
  /// Tensors that no rate changes.
  private var fixed: StratifiedSample
  /// Stored bytes of the expert without its tensors.
  let emptyBytes: Double
  /// Seconds that one look at a quality took, for all tensors on one thread; the last.
  private(set) var lookSeconds = 0.0

  init(rate: RateControl, scratch: ScratchFile, pipeline: OrderedPipeline, populations: [Int], emptyBytes: Double) {
    self.rate = rate
    self.scratch = scratch
    self.pipeline = pipeline
    self.populations = populations
    self.emptyBytes = emptyBytes
    fixed = StratifiedSample(populations: populations)
  }

  mutating func add(_ tensor: SampledTensor, named name: String, stratum: Int) {
    if let own = tensor.searchable {
      searchable.append((ExactString(name), own, stratum))
    } else if let packed = tensor.packed {
      fixed.add(.init(size: Double(packed.storedBytes)), to: stratum)
    }
  }

  var isEmpty: Bool { searchable.isEmpty }

  /// A quality to begin with.
  var start: Double {
    if rate.objective == .balanced { return 16 }
    let energy = searchable.reduce(0) { $0 + $1.tensor.energy }
    let count = searchable.reduce(0) { $0 + $1.tensor.elementCount }
    return 0.25 / max((energy / Double(max(1, count))).squareRoot(), 0x1p-500)
  }

  /// Makes the factor of a sampled tensor at a quality, from the singular vectors that are there.
  func maker(quality: Double) -> @Sendable (String) -> FactorMaker? {
    let (setting, codecs, scratch) = (rate.setting(quality: quality), rate.quantizedCodecs, scratch)
    let tensors = Dictionary(uniqueKeysWithValues: searchable.map { ($0.name, $0.tensor) })
    return { name in
      guard let tensor = tensors[ExactString(name)] else { return nil }
      return { vector, _ throws(StorageError) in
        try tensor.factor(of: vector, at: setting, codecs, scratch: scratch)
      }
    }
  }

  /// Stored bytes of the expert, nearly, and its relative error over the tensors that the rate concerns.
  mutating func outcome(at quality: Double) throws(StorageError) -> (bytes: Double, error: Double) {
    let setting = rate.setting(quality: quality)
    let (codecs, scratch, searchable) = (rate.quantizedCodecs, scratch, searchable)
    var sample = fixed
    var lost = StratifiedSample(populations: populations)
    try pipeline.run(searchable.count) { index throws(StorageError) -> (Int, Double, Double) in
      let start = ContinuousClock.now
      let (bytes, lost) = try searchable[index].tensor.outcome(at: setting, codecs, scratch: scratch)
      return (bytes, lost, (ContinuousClock.now - start) / .seconds(1))
    } consume: { index, result in
      let (bytes, squared, seconds) = result
      let (_, tensor, stratum) = searchable[index]
      let size = Double(bytes + QuantizableTensor.entryOverhead)
      sample.add(.init(size: size), to: stratum)
      lost.add(.init(energy: tensor.energy, lost: squared, seconds: seconds), to: stratum)
    }
    lookSeconds = lost.total(\.seconds).value
    return (emptyBytes + sample.total(\.size).value, lost.relativeError?.value ?? 0)
  }
}

extension RateCurve {
  /// By what share the error falls for a share more bytes; nil where it does not.
  mutating func slope(at quality: Double) throws(StorageError) -> Double? {
    let here = try outcome(at: quality)
    let above = try outcome(at: 1.25 * quality)
    let (gain, price) = (1 - above.error / here.error, above.bytes / here.bytes - 1)
    return gain > 0 && price > 0 ? gain / price : nil
  }
}
