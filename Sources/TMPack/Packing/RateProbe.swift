import ArchiveFormat
import ByteIO
import Digests
import Factorization
import TensorKit

/// Measures what prepared experts would take and lose at some quality, and finds the quality that fits a target.
struct RateProbe {
  let packer: Packer
  let experts: [(input: ExpertInput, prepared: PreparedExpert)]
  let shared: SharedTensors
  /// Stands behind the shared model.
  let writer: ArchiveWriter
  let scratch: ScratchFile
  let rate: RateControl

  /// Of each expert, in their order.
  /// - Throws: `invalidArgument` when a target cannot be met.
  func qualities() throws(StorageError) -> [Double] {
    switch rate.target {
    case .quality(let quality): return experts.map { _ in quality }
    case .bytesPerExpert(let budget):
      return try experts.map { expert throws(StorageError) in
        try located(expert: expert.input.name) { () throws(StorageError) in
          try search(Self.sizeWindow, Double(budget), expert.prepared, "the budget of \(budget) bytes an expert") {
            quality throws(StorageError) in try Double(outcome(expert, quality).bytes)
          }
        }
      }
    case .archiveBytes(let budget):
      guard let first = experts.first else { return [] }
      let index = UInt64(256 + 192 * experts.count)
      let taken = writer.position + index
      guard budget > taken else {
        throw StorageError(
          .invalidArgument, "the budget of \(budget) bytes does not hold the shared model, which takes \(taken)")
      }
      let quality = try search(
        Self.sizeWindow, Double(budget), first.prepared, "the budget of \(budget) bytes"
      ) { quality throws(StorageError) in
        var sum = taken
        for expert in experts { sum += try outcome(expert, quality).bytes }
        return Double(sum)
      }
      return experts.map { _ in quality }
    case .error(let target):
      return try experts.map { expert throws(StorageError) in
        // Errors fall with the quality; their inverses rise.
        try search(Self.errorWindow, 1 / target, expert.prepared, "the error of \(target)") {
          quality throws(StorageError) in
          let error = try outcome(expert, quality).error
          return 1 / max(error, 1e-300)
        }
      }
    }
  }

  /// 3 % below the budget at most, with a little room for what is only estimated.
  private static let sizeWindow = 0.975...0.998
  /// 2 % below the target at most.
  private static let errorWindow = 1.001...1.018

  private func search(
    _ window: ClosedRange<Double>, _ bound: Double, _ expert: PreparedExpert, _ what: String,
    measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Double {
    if expert.tensors.isEmpty { return 1 }
    let rms = (expert.energy / Double(expert.elementCount)).squareRoot()
    let start = rate.objective == .balanced ? 16 : 0.25 / rms
    if case .error = rate.target {
      // The least quality that is good enough: search from the side of too good ones.
      return try leastQuality(window, bound, start, what, measure)
    }
    guard let quality = try QualitySearch(window: window).run(bound: bound, start: start, measure: measure) else {
      throw StorageError(.invalidArgument, "\(what) cannot be met: even the coarsest factors take more")
    }
    return quality
  }

  private func leastQuality(
    _ window: ClosedRange<Double>, _ bound: Double, _ start: Double, _ what: String,
    _ measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Double {
    // Seen from the other side, 1 ÷ quality grows while the measure falls, and the measure must stay above the bound.
    let flipped = QualitySearch(window: 1 / window.upperBound...1 / window.lowerBound)
    let inverse = try flipped.run(bound: 1 / bound, start: 1 / start) { quality throws(StorageError) in
      1 / (try measure(1 / quality))
    }
    guard inverse != nil else {
      throw StorageError(.invalidArgument, "\(what) cannot be met by quantised factors; --lossless is exact")
    }
    return 1 / inverse!
  }

  /// Bytes of the expert's section and frames, and the relative error over the tensors that rate control decides on.
  private func outcome(
    _ expert: (input: ExpertInput, prepared: PreparedExpert), _ quality: Double
  ) throws(StorageError) -> (bytes: UInt64, error: Double) {
    let setting = rate.setting(quality: quality)
    let codecs = rate.quantizedCodecs
    let source = expert.input.checkpoint.source
    let infos = source.tensors.filter { expert.prepared.tensors[ExactString($0.name)] != nil }
    let dry = writer.measuring()
    var entries: [ExpertEntry] = []
    var lost = 0.0
    let (shared, scratch, level) = (shared, scratch, packer.level)
    try packer.pipeline.run(infos.count) { index throws(StorageError) -> (EncodedFactor, Double, Double) in
      let info = infos[index]
      guard let prepared = expert.prepared.tensors[ExactString(info.name)], let format = info.dtype.floatFormat,
        let base = shared.manifest.entry(named: info.name)
      else { preconditionFailure("prepared tensors are float and shared") }
      let vector = try source.bytes(of: info).withBytes { raw throws(StorageError) in
        try ExclusiveVector(of: raw, against: try shared.bytes(of: base), format)
      }
      let encoding = try prepared.loaded(from: scratch).encoding(of: vector.values, at: setting, codecs)
      let factor = encoding.factor.map { EncodedFactor(.quantized($0), level: level) } ?? .dropped
      return (factor, encoding.squaredError, prepared.energy)
    } consume: { index, result throws(StorageError) in
      let (factor, squaredError, energy) = result
      lost += squaredError
      let measures = FactorMeasures(
        norm: Measure(energy.squareRoot()), error: Measure((squaredError / energy).squareRoot()))
      // A stand-in for the digest that compresses as little as a real one.
      let digest = Digest(of: Array(infos[index].name.utf8))
      entries.append(
        ExpertEntry(name: infos[index].name, source: digest, factor: try factor.place(in: dry), measures: measures))
    }
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
    let bytes = dry.expertSummaries.last!.bytes + expert.prepared.fixedBytes
    return (bytes, (lost / max(expert.prepared.energy, .leastNonzeroMagnitude)).squareRoot())
  }
}
