import ArchiveFormat
import ByteIO
import Digests
import Factorization
import TensorKit

/// Encodes prepared experts at some quality, measures what they take and lose, and so finds the factors that meet a target.
struct RateProbe {
  let packer: Packer
  let experts: [Expert]
  let shared: SharedTensors
  /// Stands behind the shared model.
  let writer: ArchiveWriter
  let scratch: ScratchFile
  let rate: RateControl

  typealias Expert = (input: ExpertInput, prepared: PreparedExpert)

  /// Of one expert, by tensor name.
  typealias Factors = [ExactString: ScratchFactor]

  /// 3 % below the budget at most, with a little room for what is only estimated.
  private static let sizeWindow = 0.975...0.998
  /// 2 % below the target at most; their inverses grow with the quality.
  private static let errorWindow = 1.001...1.018

  /// How far steps go from where what is kept was decided.
  private static let finish = 8.0
  /// Where it is decided then, by shares of the quality before the jump.
  private static let held = [1, 1.15, 1.4, 0.85]

  /// Of each expert, in their order.
  /// - Throws: `invalidArgument` when a target cannot be met.
  func factors() throws(StorageError) -> [Factors] {
    switch rate.target {
    case .quality: preconditionFailure("a quality needs no search")
    case .archiveBytes(let budget): return try fit(experts, totalling: budget)
    case .bytesPerExpert(let budget):
      return try experts.map { expert throws(StorageError) in
        try located(expert: expert.input.name) { () throws(StorageError) in
          try search(
            [expert], QualitySearch(window: Self.sizeWindow.scaled(by: Double(budget)), fallback: .below),
            refusal: "the budget of \(budget) bytes an expert cannot be met: even the coarsest factors take more",
            estimate: { $0[0].bytes }, measure: { Double($0[0].bytes) })
        }[0]
      }
    case .error(let target):
      return try experts.map { expert throws(StorageError) in
        let norm = max(expert.prepared.energy, .leastNonzeroMagnitude).squareRoot()
        return try search(
          [expert], QualitySearch(window: Self.errorWindow.scaled(by: 1 / target), fallback: .above),
          refusal: "the error of \(target) cannot be met by quantised factors; --lossless is exact",
          estimate: { norm / max($0[0].squaredError.squareRoot(), 1e-300) }, measure: { 1 / max($0[0].error, 1e-300) }
        )[0]
      }
    }
  }

  /// All experts at one quality.
  private func fit(_ experts: [Expert], totalling budget: UInt64) throws(StorageError) -> [Factors] {
    let index = UInt64(256 + 192 * experts.count)
    let taken = writer.position + index
    guard budget > taken else {
      throw StorageError(
        .invalidArgument, "the budget of \(budget) bytes does not hold the shared model, which takes \(taken)")
    }
    return try search(
      experts, QualitySearch(window: Self.sizeWindow.scaled(by: Double(budget)), fallback: .below),
      refusal: "the budget of \(budget) bytes cannot be met: even the coarsest factors take more",
      estimate: { $0.reduce(Double(taken)) { $0 + $1.bytes } },
      measure: { Double($0.reduce(taken) { $0 + $1.bytes }) })
  }

  private func search(
    _ experts: [Expert], _ search: QualitySearch, refusal: String,
    estimate: ([(bytes: Double, squaredError: Double)]) -> Double, measure: ([Outcome]) -> Double
  ) throws(StorageError) -> [Factors] {
    // Nothing to decide on.
    if experts.allSatisfy({ $0.prepared.tensors.isEmpty }) { return experts.map { _ in [:] } }
    var factors: [Factors] = []
    var last: RateSetting?
    let codecs = rate.quantizedCodecs
    func run(
      _ search: QualitySearch, at setting: (Double) -> RateSetting
    ) throws(StorageError) -> QualitySearch.Result {
      try search.run { quality in
        estimate(experts.map { $0.prepared.estimate(at: setting(quality), codecs) })
      } measure: { quality throws(StorageError) in
        let outcomes = try experts.map { expert throws(StorageError) in try outcome(expert, setting(quality)) }
        factors = outcomes.map(\.factors)
        last = setting(quality)
        return measure(outcomes)
      }
    }
    let rate = rate
    let first = try run(search) { rate.setting(quality: $0) }
    guard var best = first.measurement else { throw StorageError(.invalidArgument, refusal) }
    var decisions: Double?
    if case .beside(let anchor) = first {
      // What is kept changes here, and the value jumps. With that held, the steps alone make it go on smoothly. What is at the
      // margin there may still come and go: then it is held a little farther off.
      var finish = search
      finish.range = anchor.quality / Self.finish...anchor.quality * Self.finish
      finish.mostProbes = 8
      for share in Self.held {
        let held = anchor.quality * (search.fallback == .above ? share : 1 / share)
        let result = try run(finish) { rate.setting(quality: $0, decisions: held) }
        guard let found = result.measurement else { continue }
        let isNearer = search.fallback == .above ? found.value < best.value : found.value > best.value
        if isNearer { (best, decisions) = (found, held) }
        if case .within = result { break }
      }
    }
    let setting = rate.setting(quality: best.quality, decisions: decisions)
    if last != setting {
      factors = try experts.map { expert throws(StorageError) in try outcome(expert, setting).factors }
    }
    return factors
  }

  /// What an expert becomes at some quality.
  private struct Outcome {
    /// Of its section and frames.
    let bytes: UInt64
    /// Relative, over the tensors that rate control decides on.
    let error: Double
    let factors: Factors
  }

  private func outcome(_ expert: Expert, _ setting: RateSetting) throws(StorageError) -> Outcome {
    let codecs = rate.quantizedCodecs
    let source = expert.input.checkpoint.source
    let infos = source.tensors.filter { expert.prepared.tensors[ExactString($0.name)] != nil }
    let dry = writer.measuring()
    var entries: [ExpertEntry] = []
    var factors: Factors = [:]
    var lost = 0.0
    let (shared, scratch, level) = (shared, scratch, packer.level)
    try packer.pipeline.run(infos.count) {
      index throws(StorageError) -> (EncodedFactor, ScratchFactor, FactorMeasures, squaredError: Double) in
      let info = infos[index]
      guard let prepared = expert.prepared.tensors[ExactString(info.name)], let format = info.dtype.floatFormat,
        let base = shared.manifest.entry(named: info.name)
      else { preconditionFailure("prepared tensors are float and shared") }
      let encoding = try prepared.loaded(from: scratch).encoding(at: setting, codecs) { body throws(StorageError) in
        try source.bytes(of: info).withBytes { raw throws(StorageError) in
          let vector = try ExclusiveVector(of: raw, against: try shared.bytes(of: base), format)
          body(vector.values)
        }
      }
      let measures = FactorMeasures(
        norm: Measure(prepared.energy.squareRoot()),
        error: Measure((encoding.squaredError / prepared.energy).squareRoot()))
      return (
        encoding.factor.map { EncodedFactor(.quantized($0), level: level) } ?? .dropped,
        try ScratchFactor(encoding.factor, scratch: scratch), measures, encoding.squaredError
      )
    } consume: { index, result throws(StorageError) in
      let (encoded, factor, measures, squaredError) = result
      let name = infos[index].name
      lost += squaredError
      factors[ExactString(name)] = factor
      entries.append(
        ExpertEntry(
          // A stand-in for the digest that compresses as little as a real one.
          name: name, source: Digest(of: Array(name.utf8)), factor: try encoded.place(in: dry), measures: measures))
    }
    for packed in expert.prepared.small {
      if let entry = try packer.place(packed, in: dry) { entries.append(entry) }
    }
    entries.sort { $0.name.precedesInBytes($1.name) }
    let files = try packer.placeFiles(of: expert.input, shared, in: dry)
    try dry.finishExpert(
      named: expert.input.name,
      ExpertManifest(
        tensors: entries, absent: [], files: files, metadata: source.metadata,
        provenance: Provenance(
          tool: TMPackVersion.tool, options: packer.options,
          sources: expert.input.checkpoint.weightFiles.map {
            SourceRecord(name: FileTree.lastComponent($0), size: 1, digest: Digest(of: Array($0.utf8)))
          })))
    return Outcome(
      bytes: dry.expertSummaries.last!.bytes + expert.prepared.largeBytes,
      error: (lost / max(expert.prepared.energy, .leastNonzeroMagnitude)).squareRoot(), factors: factors)
  }
}
