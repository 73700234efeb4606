import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackFactors
import TMPackJournal
import TMPackMerging
import TMPackReading
import TMPackTensorKit

/// Encodes prepared experts at some quality, measures what they take and lose, and so finds the factors that meet a target.
struct RateProbe {
  package let packer: Packer
  package let experts: [Expert]
  package let shared: SharedTensors
  /// Stands behind the shared model.
  package let writer: ArchiveWriter
  package let scratch: ScratchFile
  package let rate: RateControl

  package typealias Expert = (number: Int, input: ExpertInput, prepared: PreparedExpert)

  /// Of one expert, by tensor name.
  typealias Factors = [ExactString: SpilledFactor]

  /// 3 % below the budget at most, with a little room for what is only estimated: digests that are not known yet compress
  /// by some bytes more or less.
  private static func sizeWindow(_ budget: UInt64) -> ClosedRange<Double> {
    let budget = Double(budget)
    let largest = max(min(0.998 * budget, budget - 16), 0.9 * budget)
    return min(0.975 * budget, 0.98 * largest)...largest
  }
  /// 2 % below the target at most; their inverses grow with the quality.
  private static let errorWindow = 1.001...1.018

  /// How far steps go from where forms were decided.
  private static let finish = 8.0

  /// Of each expert, in their order.
  /// - Throws: `invalidArgument` when a target cannot be met.
  package func factors() throws(StorageError) -> [Factors] {
    switch rate.target {
    case .quality: preconditionFailure("a quality needs no search")
    case .archiveBytes(let budget): return try fit(experts, totalling: budget)
    case .bytesPerExpert(let budget):
      return try experts.map { expert throws(StorageError) in
        try located(expert: expert.input.name) { () throws(StorageError) in
          try search(
            [expert], QualitySearch(window: Self.sizeWindow(budget), fallback: .below),
            refusal: { "the budget of \(budget) bytes an expert cannot be met: the coarsest factors take \(Int($0))" },
            estimate: { $0[0].bytes }, measure: { Double($0[0].bytes) })
        }[0]
      }
    case .error(let target):
      return try experts.map { expert throws(StorageError) in try factors(of: expert, error: target) }
    }
  }

  /// One expert.
  private func factors(of expert: Expert, error target: Double) throws(StorageError) -> Factors {
    let norm = max(expert.prepared.energy, .leastNonzeroMagnitude).squareRoot()
    let (found, nearest) = try fitted(
      [expert], QualitySearch(window: Self.errorWindow.scaled(by: 1 / target), fallback: .above),
      estimate: { norm / max($0[0].squaredError.squareRoot(), 1e-300) }, measure: { 1 / max($0[0].error, 1e-300) })
    guard let found else {
      throw StorageError(
        .invalidArgument,
        "the error of \(target) cannot be met by quantised factors, whose least is \(Float(1 / nearest.value))"
      ).with(.lossless)
    }
    return found[0]
  }

  /// All experts at one quality.
  private func fit(_ experts: [Expert], totalling budget: UInt64) throws(StorageError) -> [Factors] {
    let index = UInt64(256 + 192 * experts.count)
    let taken = writer.position + index
    guard budget > taken else {
      throw StorageError(
        .invalidArgument,
        "the budget of \(budget) bytes does not hold the archive without these experts, which takes \(taken)")
    }
    return try search(
      experts, QualitySearch(window: Self.sizeWindow(budget), fallback: .below),
      refusal: {
        "the budget of \(budget) bytes cannot be met: with the coarsest factors the archive takes \(Int($0))"
      },
      estimate: { $0.reduce(Double(taken)) { $0 + $1.bytes } },
      measure: { Double($0.reduce(taken) { $0 + $1.bytes }) })
  }

  private func search(
    _ experts: [Expert], _ search: QualitySearch, refusal: (_ nearest: Double) -> String,
    estimate: ([(bytes: Double, squaredError: Double)]) -> Double, measure: ([Outcome]) -> Double
  ) throws(StorageError) -> [Factors] {
    let (found, nearest) = try fitted(experts, search, estimate: estimate, measure: measure)
    guard let found else { throw StorageError(.invalidArgument, refusal(nearest.value)) }
    return found
  }

  /// The search, with as many triplets of the matrices as it turns out to need: where those that there are do not reach the
  /// target, more are computed, and it begins anew.
  ///
  /// - Returns: as `search` below.
  private func fitted(
    _ experts: [Expert], _ search: QualitySearch, estimate: ([(bytes: Double, squaredError: Double)]) -> Double,
    measure: ([Outcome]) -> Double
  ) throws(StorageError) -> (factors: [Factors]?, nearest: (quality: Double, value: Double)) {
    var (experts, round, attempt) = (experts, 0, 0)
    let limits = experts.map { packer.largestRank($0.input.checkpoint.source.tensors, self.experts.count) }
    var isBounded = true
    while true {
      let known = zip(experts, limits).map { expert, limit in
        isBounded ? expert.prepared.knownQuality(rate, atMost: limit) : .infinity
      }.min()!
      var reachable = search
      reachable.range = search.range.lowerBound...min(search.range.upperBound, known)
      let (found, nearest) = try self.search(experts, reachable, round: &round, estimate: estimate, measure: measure)
      let isShort = nearest.value < search.window.lowerBound && nearest.quality > 0.99 * known
      let setting = rate.setting(quality: nearest.quality)
      let isExhausted =
        found.map { found in
          experts.indices.contains { experts[$0].prepared.isExhausted(by: found[$0], setting, atMost: limits[$0]) }
        } ?? false
      guard isBounded, isShort || isExhausted else { return (found, nearest) }
      let ranks = try foreseenRanks(experts, search, limits, from: nearest, estimate: estimate)
      // More would be of no use: steps have to be finer.
      isBounded = !ranks.allSatisfy(\.isEmpty)
      attempt += 1
      for index in experts.indices where !ranks[index].isEmpty {
        // A spectrum that has misled twice goes on doing so.
        let ranks = ranks[index].mapValues { attempt > 2 ? limits[index] : $0 }
        experts[index].prepared = try packer.extended(experts[index], ranks, attempt: attempt, shared, scratch)
      }
    }
  }

  /// Of each expert, how many triplets the target is likely to ask for of the matrices that have too few.
  ///
  /// - Parameter reached: the quality from which on there are too few, and what was measured there.
  private func foreseenRanks(
    _ experts: [Expert], _ search: QualitySearch, _ limits: [Int], from reached: (quality: Double, value: Double),
    estimate: ([(bytes: Double, squaredError: Double)]) -> Double
  ) throws(StorageError) -> [[ExactString: Int]] {
    let spectra = experts.map { $0.prepared.foreseenSpectra() }
    let (rate, codecs) = (rate, rate.quantizedCodecs)
    func foreseen(_ quality: Double) -> Double {
      estimate(
        zip(experts, spectra).map { $0.prepared.estimate(at: rate.setting(quality: quality), codecs, $1) })
    }
    let factor = reached.value / max(foreseen(reached.quality), .leastNonzeroMagnitude)
    var beyond = search
    beyond.range = reached.quality...max(reached.quality, search.range.upperBound)
    let likely = try beyond.run(estimate: foreseen) { quality throws(StorageError) in (factor * foreseen(quality), ()) }
    let setting = rate.setting(quality: max(likely.nearest.quality, 1.02 * reached.quality))
    return experts.indices.map { experts[$0].prepared.foreseenRanks(at: setting, spectra[$0], atMost: limits[$0]) }
  }

  /// - Parameter round: of the first probe; then of the next.
  /// - Returns: nil where the target cannot be met, and the quality that was found or came nearest, with what was measured.
  private func search(
    _ experts: [Expert], _ search: QualitySearch, round: inout Int,
    estimate: ([(bytes: Double, squaredError: Double)]) -> Double, measure: ([Outcome]) -> Double
  ) throws(StorageError) -> (factors: [Factors]?, nearest: (quality: Double, value: Double)) {
    // Nothing to decide on.
    if experts.allSatisfy({ $0.prepared.tensors.isEmpty }) { return (experts.map { _ in [:] }, (1, 0)) }
    let (rate, codecs) = (rate, rate.quantizedCodecs)
    func measured(_ trial: (Int) -> Trial) throws(StorageError) -> (value: Double, content: [Outcome]) {
      // Behind each other, since what an earlier expert has is not stored again.
      var writer = writer
      let outcomes = try experts.indices.map { index throws(StorageError) in
        try outcome(experts[index], trial(index), round: round, behind: &writer)
      }
      round += 1
      return (measure(outcomes), outcomes)
    }
    let first = try search.run { quality in
      estimate(experts.map { $0.prepared.estimate(at: rate.setting(quality: quality), codecs) })
    } measure: { quality throws(StorageError) in
      try measured { _ in Trial(setting: rate.setting(quality: quality)) }
    }
    if case .none(let nearest) = first { return (nil, (nearest.quality, nearest.value)) }
    guard var best = first.measurement else { preconditionFailure("only `none` has none") }
    let quality = best.quality
    if case .beside(let near, let other) = first {
      // The forms of tensors change here, and the value jumps. With forms held, the steps alone make it go on smoothly.
      var finish = search
      finish.range = 1 / Self.finish...Self.finish
      finish.mostProbes = 12
      for decided in [near, other] {
        let setting = rate.setting(quality: decided.quality)
        let result = try finish.run(
          from: QualitySearch.Measurement(quality: 1, value: decided.value, content: decided.content)
        ) { fineness throws(StorageError) in
          try measured { Trial(setting: setting, fineness: fineness, forms: decided.content[$0].forms) }
        }
        if let found = result.measurement, search.isNearer(found.value, than: best.value) { best = found }
        if case .within = result { break }
      }
    }
    return (best.content.map(\.factors), (quality, best.value))
  }

  /// What is tried.
  fileprivate struct Trial {
    let setting: RateSetting
    /// Steps are finer than the setting's by this factor.
    var fineness = 1.0
    /// nil where the setting decides them.
    var forms: [ExactString: QuantizedFactor.Form]?
  }

  /// What an expert becomes at some quality.
  private struct Outcome {
    /// Of its section and frames.
    let bytes: UInt64
    /// Relative, over the tensors that rate control decides on.
    let error: Double
    let factors: Factors

    /// Without those of the tensors that are left out.
    var forms: [ExactString: QuantizedFactor.Form] { factors.compactMapValues(\.form) }
  }

  /// - Parameters:
  ///   - round: of the search: what a journal has of it is not done again.
  ///   - writer: stands behind the expert afterwards.
  private func outcome(
    _ expert: Expert, _ trial: Trial, round: Int, behind writer: inout ArchiveWriter
  ) throws(StorageError) -> Outcome {
    let codecs = rate.quantizedCodecs
    let source = expert.input.checkpoint.source
    let infos = source.tensors.enumerated().filter { expert.prepared.tensors[ExactString($0.element.name)] != nil }
    let dry = writer.measuring()
    var entries: [ExpertEntry] = []
    var factors: Factors = [:]
    var lost = 0.0
    let (shared, level, journal) = (shared, packer.level, packer.journal)
    try packer.pipeline.run(infos.count) {
      index throws(StorageError) -> (FinishedJob<ProbedTensor>, EncodedFactor, FactorMeasures, EncodedPayload?) in
      let (place, info) = infos[index]
      guard let prepared = expert.prepared.tensors[ExactString(info.name)], let format = info.dtype.floatFormat,
        let base = shared.manifest.entry(named: info.name)
      else {
        throw StorageError(
          .malformed, "a record says that it can be approximated", expert: expert.input.name, tensor: info.name)
      }
      let point = ProbedPoint(
        tensor: ExpertTensor(info, in: shared.manifest), quality: trial.setting.quality, fineness: trial.fineness)
      let job = try FinishedJob(journal, .probe(round, expert.number, place), point) {
        () throws(StorageError) -> ProbedTensor in
        let tensor = try prepared.loaded()
        let vector = ProbedVector(source: source, info: info, base: base, format: format, shared: shared)
        let encoding = try tensor.encoding(trial, of: info, codecs, values: vector)
        return ProbedTensor(
          point: point, squaredError: encoding.squaredError, factor: encoding.factor.map(CodedFactor.init))
      }
      let measures = FactorMeasures(
        norm: Measure(prepared.energy.squareRoot()),
        error: Measure((job.result.squaredError / prepared.energy).squareRoot()))
      let alone = PackedTensor(name: info.name, source: base.digest, content: .unchanged)
      let extra = try expert.input.extended(alone, info, level: level).extra
      return (job, EncodedFactor(job.result.factor, level: level), measures, extra)
    } consume: { index, result throws(StorageError) in
      let (job, encoded, measures, extra) = result
      let name = infos[index].element.name
      lost += job.result.squaredError
      factors[ExactString(name)] = try SpilledFactor(job.result.factor, in: job.kept(in: journal), or: scratch)
      let factor = StoredFactor.lossy(try dry.place(encoded))
      entries.append(
        ExpertEntry(
          // A stand-in for the digest that compresses as little as a real one.
          name: name, source: ContentDigest(of: Array(name.utf8)), factor: factor,
          measures: measures.recorded(of: factor),
          extra: try extra.map { payload throws(StorageError) in try dry.place(payload) }))
    }
    for packed in expert.prepared.small {
      if let entry = try packer.place(packed, in: dry) { entries.append(entry) }
    }
    entries.sort { $0.name.precedesInBytes($1.name) }
    let files = try packer.placeFiles(of: expert.input, shared, in: dry)
    try dry.finishExpert(
      named: expert.input.name,
      ExpertManifest(
        tensors: entries, absent: shared.manifest.namesAbsent(from: source), files: files,
        metadata: expert.input.recordedMetadata,
        provenance: Provenance(standingInFor: expert.input.checkpoint, options: packer.options)))
    writer = dry
    return Outcome(
      bytes: dry.expertSummaries.last!.bytes + expert.prepared.largeBytes,
      error: (lost / max(expert.prepared.energy, .leastNonzeroMagnitude)).squareRoot(), factors: factors)
  }
}

/// Opened again, once, where its elements are needed. For one thread.
private final class ProbedVector: VectorElements {
  private let open: () throws(StorageError) -> ExclusiveTensor
  private var tensor: ExclusiveTensor?

  init(
    source: any TensorSource, info: TensorInfo, base: SharedEntry, format: FloatFormat, shared: SharedTensors
  ) {
    open = { () throws(StorageError) in
      ExclusiveTensor(of: try source.opened(info), against: try shared.opened(base), format, shape: info.shape)
    }
  }

  func withElements(of part: MatrixPart?, _ body: (UnsafeBufferPointer<Float>) -> Void) throws(StorageError) {
    let tensor: ExclusiveTensor
    if let opened = self.tensor { tensor = opened } else { tensor = try open() }
    self.tensor = tensor
    try tensor.withElements(of: part, body)
  }
}

extension QuantizableTensor {
  /// What the tensor of that name becomes.
  fileprivate func encoding(
    _ trial: RateProbe.Trial, of info: TensorInfo, _ codecs: Set<QuantizedFactor.Codec>,
    values: some VectorElements
  ) throws(StorageError) -> QuantizedFactor.Encoding {
    guard let forms = trial.forms else { return try encoding(at: trial.setting, codecs, values: values) }
    return try encoding(
      as: forms[ExactString(info.name)], at: trial.setting, fineness: trial.fineness, values: values)
  }
}
