import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackTensorKit

/// What one sampled tensor of an expert becomes, in every setting of a plan, by the encoders that pack.
struct SampledTensor: Sendable {
  /// As it would be packed; nil while rate control has not decided.
  package let packed: PackedTensor?
  /// At each setting of the frontier.
  let frontier: [PackedTensor]
  /// Ready for the search of a rate, if that is to come.
  let searchable: SearchableTensor?
  package let nonFinite: PlanFindings.NonFinite?
  let isUnchanged: Bool
  /// Of packing alone, the search's preparation included.
  let seconds: Double
}

/// A quantisable tensor and its exclusive vector in scratch space: what a rate is searched with.
struct SearchableTensor: Sendable {
  private let prepared: PreparedTensor
  private let values: SpilledNumbers<Float>

  package var energy: Double { prepared.energy }

  init(_ tensor: QuantizableTensor, of own: ExclusiveTensor, scratch: ScratchFile) throws(StorageError) {
    prepared = try PreparedTensor(tensor, in: nil, or: scratch)
    values = try own.vector().withValues { values throws(StorageError) in try SpilledNumbers(values, in: scratch) }
  }

  package func estimate(at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>) -> RateEstimate {
    prepared.estimate(at: setting, codecs)
  }

  package func factor(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>
  ) throws(StorageError) -> Factor? {
    try encoding(at: setting, codecs).factor.map { factor throws(StorageError) in
      try Factor.quantized(factor).decoded()
    }
  }

  /// The matrices that it is taken as.
  package var stack: MatrixStack? { prepared.stack }

  /// Bytes of the payload and ‖v − decoded‖².
  package func outcome(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>
  ) throws(StorageError) -> (bytes: Int, lost: Double) {
    let encoding = try encoding(at: setting, codecs)
    return (encoding.byteCount, encoding.squaredError)
  }

  private func encoding(
    at setting: RateSetting, _ codecs: Set<QuantizedFactor.Codec>
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    try prepared.loaded().encoding(at: setting, codecs, values: self)
  }
}

extension SearchableTensor: VectorElements {
  func withElements(of part: MatrixPart?, _ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) {
    guard let part else { return try values.loaded().withUnsafeBufferPointer(body) }
    try values.loaded(part.stack.extent(of: part.number)).withUnsafeBufferPointer { extent in
      var own = [Float](repeating: 0, count: part.stack.matrixSize)
      own.withUnsafeMutableBufferPointer {
        part.stack.gather(part.number, from: extent, into: $0)
        body(UnsafeBufferPointer($0))
      }
    }
  }
}

/// What is needed to look at the tensors of one expert.
struct ExpertSampler: Sendable {
  package let packer: Packer
  package let expert: ExpertInput
  package let shared: any TensorSource
  /// How tensors are approximated; nil for those that the search of a rate will decide on.
  package let makeFactor: NamedFactorMaker
  /// Components to prepare for the search, and where; nil when there is none.
  package let search: (rank: Int, scratch: ScratchFile)?
  /// Components of the quantised settings of the frontier, ascending; before them comes none, after them is lossless.
  let frontier: [Int]

  /// Memory: that of packing the tensor, and its factors.
  package func sample(_ info: TensorInfo) throws(StorageError) -> SampledTensor {
    let source = expert.checkpoint.source
    return try located(file: source.label, expert: expert.name, tensor: info.name) { () throws(StorageError) in
      let base = try sharedTensor(info)
      return try sample(info, source.opened(info), base)
    }
  }

  private func sharedTensor(_ info: TensorInfo) throws(StorageError) -> (entry: SharedEntry, tensor: OpenTensor)? {
    guard let own = shared.tensor(named: info.name), own.matches(info) else { return nil }
    let tensor = try shared.opened(own)
    return (try SharedEntry(detached: own, tensor), tensor)
  }

  private func sample(
    _ info: TensorInfo, _ tensor: OpenTensor, _ base: (entry: SharedEntry, tensor: OpenTensor)?
  ) throws(StorageError) -> SampledTensor {
    let start = ContinuousClock.now
    func products(_ base: SharedEntry) throws(StorageError) -> KnownProducts? {
      try expert.products(of: info, against: base)
    }
    let isOwn = shared.tensor(named: info.name) == nil
    func pack(
      _ maker: (any FactorMaker)?, own: OwnQuantizer? = nil, isCorrected: Bool
    ) throws(StorageError) -> PackedTensor {
      try expert.extended(
        try PackedTensor(
          info, tensor, base: base?.entry, openBase: { () throws(StorageError) in base!.tensor }, makeFactor: maker,
          ownQuantizer: isOwn ? own : nil,
          products: { () throws(StorageError) in try products(base!.entry) }, isCorrected: isCorrected,
          level: packer.level), info, level: packer.level)
    }
    let isStandard =
      base != nil && info.dtype.floatFormat != nil && packer.rules.exception(for: info.name) == nil
    var packed: PackedTensor?
    var nonFinite: PlanFindings.NonFinite?
    do throws(StorageError) {
      if search == nil || !isStandard {
        packed = try pack(
          makeFactor(info.name), own: packer.ownQuantizer(of: info), isCorrected: packer.storesCorrections)
      }
    } catch {
      guard error.code == .nonFinite else { throw error }
      nonFinite = PlanFindings.NonFinite(tensor: info.name, message: error.message)
    }
    var seconds = (ContinuousClock.now - start) / .seconds(1)
    guard isStandard, let base, let format = info.dtype.floatFormat, nonFinite == nil else {
      // What packing refuses is taken as kept, so that the other tensors can still be judged.
      let fixed: PackedTensor
      if let packed { fixed = packed } else { fixed = try pack(nil, isCorrected: false) }
      var (quantized, exact) = (fixed, fixed)
      if isOwn, packer.rules.exception(for: info.name) == nil, let own = OwnQuantizer(for: info) {
        quantized = try pack(nil, own: own, isCorrected: false)
        exact = try pack(nil, isCorrected: false)
      }
      return SampledTensor(
        packed: fixed, frontier: frontier.map { _ in quantized } + [exact], searchable: nil, nonFinite: nonFinite,
        isUnchanged: fixed.content.isUnchanged, seconds: seconds)
    }

    guard search != nil || !frontier.isEmpty else {
      return SampledTensor(
        packed: packed, frontier: [], searchable: nil, nonFinite: nil,
        isUnchanged: packed?.content.isUnchanged ?? false,
        seconds: seconds)
    }
    let lossless = packer.rules.standard == .exact ? packed! : try pack(nil, isCorrected: false)
    var own = ExclusiveTensor(of: tensor, against: base.tensor, format, shape: info.shape)
    let survey = try own.surveyed()
    if lossless.content.isUnchanged || survey.isZero || survey.firstNonFinite != nil {
      let packed = packed ?? lossless
      return SampledTensor(
        packed: packed, frontier: frontier.map { _ in packed } + [lossless], searchable: nil,
        nonFinite: nil, isUnchanged: packed.content.isUnchanged, seconds: seconds)
    }
    own.products = try products(base.entry)
    let preparing = ContinuousClock.now
    let stack = try packer.rules.stacking(of: info.name).stack(for: own)
    let quantizable = try QuantizableTensor(own, as: stack, .atMost(max(search?.rank ?? 1, frontier.last ?? 1)))
    var searchable: SearchableTensor?
    if let search {
      searchable = try SearchableTensor(quantizable, of: own, scratch: search.scratch)
      seconds += (ContinuousClock.now - preparing) / .seconds(1)
    }
    return SampledTensor(
      packed: packed, frontier: try quantized(quantizable, own, info, lossless.source) + [lossless],
      searchable: searchable,
      nonFinite: nil, isUnchanged: false, seconds: seconds)
  }

  /// The tensor at each quantised setting of the frontier, from one set of singular vectors.
  private func quantized(
    _ tensor: QuantizableTensor, _ own: ExclusiveTensor, _ info: TensorInfo, _ source: ContentDigest
  ) throws(StorageError) -> [PackedTensor] {
    let codecs = packer.rate?.quantizedCodecs ?? QuantizedFactor.Codec.standard
    return try frontier.map { components throws(StorageError) in
      let setting = RateSetting(.balanced, quality: Double(components))
      let encoding = try tensor.encoding(at: setting, codecs, values: own)
      let factor = encoding.factor.map { EncodedFactor(.quantized($0), level: packer.level) } ?? .dropped
      let measures = FactorMeasures(
        norm: Measure(tensor.energy.squareRoot()), error: Measure((encoding.squaredError / tensor.energy).squareRoot()))
      return PackedTensor(name: info.name, source: source, content: .lossy(factor, measures, correction: nil))
    }
  }
}

extension PackedTensor.Content {
  var isUnchanged: Bool { if case .unchanged = self { true } else { false } }
}
